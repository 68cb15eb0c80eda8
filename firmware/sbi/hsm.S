# HSM: starting, stopping and suspending harts (SBI 2.0, chapter 9), of which there is one.

.equ HSM_STARTED, 0
.equ HSM_SUSPEND_RETENTIVE, 0
.equ HSM_SUSPEND_NON_RETENTIVE, 0x80000000

sbi_hsm:
	beqz a6, hsm_hart_start
	addi a6, a6, -1
	# A hart that stops itself with nobody to start it again waits for ever.
	beqz a6, park
	addi a6, a6, -1
	beqz a6, hsm_hart_get_status
	addi a6, a6, -1
	beqz a6, hsm_hart_suspend
	j sbi_not_supported

# a0: hart id. The one hart runs already, or it could not ask.
hsm_hart_start:
	bnez a0, sbi_invalid_param
	li a0, SBI_ERR_ALREADY_AVAILABLE
	li a1, 0
	ret

hsm_hart_get_status:
	bnez a0, sbi_invalid_param
	li a1, HSM_STARTED
	li a0, SBI_SUCCESS
	ret

# a0: suspend type (32 bits), a1: where a non-retentive one goes on in S-mode, a2: what it finds in a1 there.
hsm_hart_suspend:
	slli a0, a0, 32
	srli a0, a0, 32
	beqz a0, hsm_suspend_retentive
	li t0, HSM_SUSPEND_NON_RETENTIVE
	bne a0, t0, sbi_invalid_param
	wfi
	# The state that the specification gives: satp 0, interrupts off, all else undefined.
	csrw satp, zero
	csrci mstatus, 1 << 1
	mv a0, a1
	mv a1, a2
	j enter_supervisor

# wfi ends when an interrupt is pending that mie enables, the supervisor's among them.
hsm_suspend_retentive:
	wfi
	j sbi_success
