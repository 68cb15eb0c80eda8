# RISC-V SBI 2.0: extension ids, error codes; and the M-mode bits that the firmware uses.

.equ SBI_SPEC_VERSION, 0x02000000
# Not a registered implementation id: "vms" in ASCII.
.equ SBI_IMPL_ID, 0x766d73
.equ SBI_IMPL_VERSION, 0x00010000

.equ SBI_SUCCESS, 0
.equ SBI_ERR_FAILED, -1
.equ SBI_ERR_NOT_SUPPORTED, -2
.equ SBI_ERR_INVALID_PARAM, -3
.equ SBI_ERR_INVALID_ADDRESS, -5
.equ SBI_ERR_ALREADY_AVAILABLE, -6

.equ EID_LEGACY_SET_TIMER, 0
.equ EID_LEGACY_CONSOLE_PUTCHAR, 1
.equ EID_LEGACY_CONSOLE_GETCHAR, 2
.equ EID_LEGACY_SHUTDOWN, 8
.equ EID_BASE, 0x10
.equ EID_TIME, 0x54494d45
.equ EID_IPI, 0x735049
.equ EID_RFENCE, 0x52464e43
.equ EID_HSM, 0x48534d
.equ EID_SRST, 0x53525354
.equ EID_DBCN, 0x4442434e

# mip and mie: one bit per interrupt cause.
.equ MIP_SSIP, 1 << 1
.equ MIP_MSIP, 1 << 3
.equ MIP_STIP, 1 << 5
.equ MIP_MTIP, 1 << 7
.equ MIP_SEIP, 1 << 9

.equ MSTATUS_MPP, 3 << 11
.equ MSTATUS_MPP_S, 1 << 11

.equ IRQ_M_SOFT, 3
.equ IRQ_M_TIMER, 7
.equ CAUSE_SUPERVISOR_ECALL, 9
