# IPI: supervisor software interrupts (SBI 2.0, chapter 7), by way of the CLINT's msip; trap.S makes SSIP of it.

sbi_ipi:
	bnez a6, sbi_not_supported
	mv t6, ra
	jal check_hart_mask
	mv ra, t6
	bltz t0, sbi_invalid_param
	li t1, CLINT_MSIP
	beqz t0, ipi_done
	sw t0, 0(t1)
ipi_done:
	j sbi_success
