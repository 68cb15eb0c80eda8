# RFENCE: fences on other harts (SBI 2.0, chapter 8). Here the only hart is the caller's, and a fence of everything is
# always enough. Functions 3 to 6 need the hypervisor extension, which the hart does not have.

.equ RFENCE_LAST_FUNCTION, 2

sbi_rfence:
	li t0, RFENCE_LAST_FUNCTION
	bgtu a6, t0, sbi_not_supported
	mv t6, ra
	jal check_hart_mask
	mv ra, t6
	bltz t0, sbi_invalid_param
	beqz t0, rfence_done
	bnez a6, rfence_vma
	fence.i
	j sbi_success
rfence_vma:
	sfence.vma
rfence_done:
	j sbi_success
