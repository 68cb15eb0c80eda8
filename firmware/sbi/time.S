# TIME: one supervisor timer interrupt at an absolute time (SBI 2.0, chapter 6). The machine timer interrupt that comes of
# mtimecmp is turned into STIP by trap.S.

# a0: the tick of mtime, -1 for never.
sbi_time:
	bnez a6, sbi_not_supported
	mv t6, ra
	jal set_timer
	mv ra, t6
	j sbi_success

# a0: the tick. Clears the pending supervisor timer interrupt.
set_timer:
	li t0, CLINT_MTIMECMP
	sd a0, 0(t0)
	li t0, MIP_STIP
	csrc mip, t0
	li t0, MIP_MTIP
	csrs mie, t0
	ret
