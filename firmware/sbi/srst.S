# SRST: power off and reset (SBI 2.0, chapter 10).

.equ SRST_SHUTDOWN, 0
.equ SRST_WARM_REBOOT, 2
.equ SRST_NO_REASON, 0
.equ SRST_SYSTEM_FAILURE, 1

# a0: type (shutdown, cold reboot, warm reboot), a1: reason.
sbi_srst:
	bnez a6, sbi_not_supported
	li t0, SRST_SYSTEM_FAILURE
	bgtu a1, t0, sbi_invalid_param
	li t0, SRST_WARM_REBOOT
	bgtu a0, t0, sbi_invalid_param
	bnez a0, srst_reboot
	bnez a1, finisher_fail
srst_shutdown:
	li a0, FINISHER_PASS
	j finisher
srst_reboot:
	li a0, FINISHER_RESET
	j finisher
