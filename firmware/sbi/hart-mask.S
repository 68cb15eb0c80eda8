# The hart mask of IPI and RFENCE (SBI 2.0, 3.1): bit n of a0 is hart a1 + n; a1 = -1 means all harts. This machine has one.

# Returns t0: 1 if this hart is meant, 0 if none is, -1 if a hart is that does not exist.
check_hart_mask:
	li t0, -1
	beq a1, t0, hart_mask_us
	beqz a0, hart_mask_none
	bnez a1, hart_mask_invalid
	li t1, 1
	bne a0, t1, hart_mask_invalid
hart_mask_us:
	li t0, 1
	ret
hart_mask_none:
	li t0, 0
hart_mask_invalid:
	ret
