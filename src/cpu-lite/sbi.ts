/** Numbers of the SBI calls that the guest kernel makes. Source: RISC-V SBI specification 2.0, chapters 6, 10 and 12. */

export const SBI_EXT_TIME = 0x5449_4d45;
export const SBI_TIME_SET_TIMER = 0;

export const SBI_EXT_SRST = 0x5352_5354;
export const SBI_SRST_SYSTEM_RESET = 0;
export const SBI_SRST_TYPE = {shutdown: 0, 'cold-reboot': 1, 'warm-reboot': 2} as const;
export const SBI_SRST_REASON_NONE = 0;
export const SBI_SRST_REASON_SYSTEM_FAILURE = 1;

export const SBI_EXT_DBCN = 0x4442_434e;
export const SBI_DBCN_CONSOLE_WRITE_BYTE = 2;
