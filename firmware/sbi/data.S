# Everything that is not code. It stands last, so that no instruction follows text of odd length.

	.align 3
# Extension id and handler, those called most first.
extensions:
	.dword EID_TIME
	.dword sbi_time
	.dword EID_RFENCE
	.dword sbi_rfence
	.dword EID_IPI
	.dword sbi_ipi
	.dword EID_DBCN
	.dword sbi_dbcn
	.dword EID_LEGACY_CONSOLE_PUTCHAR
	.dword sbi_legacy_console_putchar
	.dword EID_LEGACY_CONSOLE_GETCHAR
	.dword sbi_legacy_console_getchar
	.dword EID_LEGACY_SET_TIMER
	.dword sbi_legacy_set_timer
	.dword EID_BASE
	.dword sbi_base
	.dword EID_HSM
	.dword sbi_hsm
	.dword EID_SRST
	.dword sbi_srst
	.dword EID_LEGACY_SHUTDOWN
	.dword sbi_legacy_shutdown
extensions_end:

# Where M-mode goes on after a fault of its own, or 0.
trap_resume:
	.dword 0

text_fdt_too_large:
	.asciz "firmware: the device tree is larger than 64 KiB\n"
text_trap:
	.asciz "firmware: unexpected trap, mcause "
text_mepc:
	.asciz " mepc "
text_mtval:
	.asciz " mtval "
