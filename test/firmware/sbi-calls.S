# A supervisor that makes every call of the SBI and checks the answers; a flat image for KERNEL_ENTRY. Ends through SRST with
# exit code 0, or through the finisher with the number of the first check that failed.

.include "platform.S"
.include "sbi/constants.S"

.equ RFENCE_GVMA, 3
.equ SIP_SSIP, 2
.equ SIP_STIP, 32
.equ CAUSE_ILLEGAL, 2
.equ CAUSE_LOAD_ACCESS, 5
.equ IRQ_S_TIMER, 5
# An address where the board has nothing.
.equ NOWHERE, 0x40

# The next check's number is in s11.
.macro check reg, value
	li t6, \value
	addi s11, s11, 1
	bne \reg, t6, fail
.endm

.macro call extension, function
	li a7, \extension
	li a6, \function
	ecall
.endm

# A call that must return this error and the value 0.
.macro call_fails extension, function, error
	call \extension, \function
	check a0, \error
	check a1, 0
.endm

.macro call_succeeds extension, function
	call \extension, \function
	check a0, SBI_SUCCESS
.endm

sbi_calls:
	mv s0, a0
	mv s1, a1
	li s11, 0
	la t0, trap_unexpected
	csrw stvec, t0

# 1: what the kernel finds.
	check s0, 0
	lwu t0, 0(s1)
	check t0, 0xedfe0dd0
	# The first reservation: big-endian, at the offset in header word 4 (below 64 KiB).
	lbu t0, 18(s1)
	slli t0, t0, 8
	lbu t1, 19(s1)
	or t0, t0, t1
	add t0, t0, s1
	ld t1, 0(t0)
	check t1, 0x8000000000
	lwu t1, 8(t0)
	check t1, 0
	lwu t1, 12(t0)
	check t1, 0x200
	csrr t0, satp
	check t0, 0
	csrr t0, sstatus
	andi t0, t0, 2
	check t0, 0
	csrr t0, time
	csrr t0, cycle
	csrr t0, instret

# 9: BASE.
	call_succeeds EID_BASE, 0
	check a1, SBI_SPEC_VERSION
	call_succeeds EID_BASE, 1
	check a1, SBI_IMPL_ID
	call_succeeds EID_BASE, 2
	check a1, SBI_IMPL_VERSION
	la s2, present
next_present:
	ld a0, 0(s2)
	call_succeeds EID_BASE, 3
	check a1, 1
	addi s2, s2, 8
	la t0, present_end
	bltu s2, t0, next_present
	li a0, 0x504d55
	call_succeeds EID_BASE, 3
	check a1, 0
	call_succeeds EID_BASE, 4
	call_succeeds EID_BASE, 5
	call_succeeds EID_BASE, 6
	call_fails EID_BASE, 7, SBI_ERR_NOT_SUPPORTED
	call_fails 0x504d55, 0, SBI_ERR_NOT_SUPPORTED
	call_fails -1, -1, SBI_ERR_NOT_SUPPORTED

# All registers but a0 and a1 survive: each holds its own number, or one with high bits.
	li a2, 0x0101010101
	li a6, 0
	li a7, EID_BASE
	li ra, 1
	li gp, 3
	li tp, 4
	li t0, 5
	li t1, 6
	li t2, 7
	li s0, 8
	li a3, 13
	li a4, 14
	li a5, 15
	li s2, 18
	li s10, 26
	li t3, 28
	li t4, 29
	li t5, 30
	li t6, 31
	li sp, -2
	ecall
	addi t6, t6, -31
	addi s11, s11, 1
	bnez t6, fail
	check ra, 1
	check sp, -2
	check gp, 3
	check tp, 4
	check t0, 5
	check t1, 6
	check t2, 7
	check s0, 8
	check a2, 0x0101010101
	check a3, 13
	check a4, 14
	check a5, 15
	check a6, 0
	check a7, EID_BASE
	check s2, 18
	check s10, 26
	check t3, 28
	check t4, 29
	check t5, 30

# DBCN.
	li a0, 5
	la a1, text_dbcn
	li a2, 0
	call_succeeds EID_DBCN, 0
	check a1, 5
	li a0, 10
	call_succeeds EID_DBCN, 2
	check a1, 0
	li a0, 0
	la a1, text_dbcn
	li a2, 0
	call_succeeds EID_DBCN, 0
	check a1, 0
	li a0, 8
	la a1, buffer
	li a2, 0
	call_succeeds EID_DBCN, 1
	check a1, 0
	li a0, 5
	la a1, text_dbcn
	li a2, 1
	call_fails EID_DBCN, 0, SBI_ERR_INVALID_PARAM
	li a0, 5
	li a1, RAM_BASE
	li a2, 0
	call_fails EID_DBCN, 0, SBI_ERR_INVALID_PARAM
	li a0, 5
	li a1, UART_BASE
	li a2, 0
	call_fails EID_DBCN, 1, SBI_ERR_INVALID_PARAM
	li a0, -1
	la a1, text_dbcn
	li a2, 0
	call_fails EID_DBCN, 0, SBI_ERR_INVALID_PARAM
	# Beyond any RAM: the firmware's own load faults.
	li a0, 5
	li a1, 0xffff0000000000
	li a2, 0
	call_fails EID_DBCN, 0, SBI_ERR_INVALID_PARAM
	call_fails EID_DBCN, 3, SBI_ERR_NOT_SUPPORTED

# The legacy console returns one value and leaves a1 alone.
	la s2, text_legacy
legacy_next:
	lbu a0, 0(s2)
	beqz a0, legacy_end
	li a1, 77
	call EID_LEGACY_CONSOLE_PUTCHAR, 0
	check a0, 0
	check a1, 77
	addi s2, s2, 1
	j legacy_next
legacy_end:
	li a1, 77
	call EID_LEGACY_CONSOLE_GETCHAR, 0
	check a0, -1
	check a1, 77

# TIME: pending at its time and not before, cleared by the next call, taken when enabled.
	li a0, -1
	call_succeeds EID_TIME, 0
	csrr t0, sip
	andi t0, t0, SIP_STIP
	check t0, 0
	li t0, SIP_STIP
	csrw sie, t0
	csrr s2, time
	li t0, 5000
	add s2, s2, t0
	mv a0, s2
	call_succeeds EID_TIME, 0
timer_wait:
	wfi
	csrr t0, sip
	andi t0, t0, SIP_STIP
	beqz t0, timer_wait
	csrr t0, time
	sltu t0, t0, s2
	check t0, 0
	li a0, -1
	call_succeeds EID_TIME, 0
	csrr t0, sip
	andi t0, t0, SIP_STIP
	check t0, 0
	la t0, trap_expected
	csrw stvec, t0
	csrr a0, time
	call EID_LEGACY_SET_TIMER, 0
	check a0, 0
	la s3, timer_taken
	csrsi sstatus, 2
timer_spin:
	j timer_spin
timer_taken:
	csrr t0, scause
	slli t1, t0, 1
	srli t1, t1, 1
	check t1, IRQ_S_TIMER
	slti t0, t0, 0
	check t0, 1
	li a0, -1
	call EID_LEGACY_SET_TIMER, 0
	call_fails EID_TIME, 1, SBI_ERR_NOT_SUPPORTED

# IPI: SSIP, for this hart, for all harts, for none, for one that is not there.
	csrw sie, zero
	li a0, 1
	li a1, 0
	call_succeeds EID_IPI, 0
	csrr t0, sip
	andi t0, t0, SIP_SSIP
	check t0, SIP_SSIP
	csrci sip, SIP_SSIP
	li a0, 0
	li a1, -1
	call_succeeds EID_IPI, 0
	csrr t0, sip
	andi t0, t0, SIP_SSIP
	check t0, SIP_SSIP
	csrci sip, SIP_SSIP
	li a0, 0
	li a1, 0
	call_succeeds EID_IPI, 0
	csrr t0, sip
	andi t0, t0, SIP_SSIP
	check t0, 0
	li a0, 2
	li a1, 0
	call_fails EID_IPI, 0, SBI_ERR_INVALID_PARAM
	li a0, 1
	li a1, 1
	call_fails EID_IPI, 0, SBI_ERR_INVALID_PARAM

# RFENCE.
	li a0, 1
	li a1, 0
	call_succeeds EID_RFENCE, 0
	li a0, 1
	li a1, 0
	li a2, 0
	li a3, -1
	call_succeeds EID_RFENCE, 1
	li a0, 1
	li a1, 0
	li a4, 3
	call_succeeds EID_RFENCE, 2
	call_fails EID_RFENCE, RFENCE_GVMA, SBI_ERR_NOT_SUPPORTED
	li a0, 4
	li a1, 0
	call_fails EID_RFENCE, 1, SBI_ERR_INVALID_PARAM

# HSM.
	li a0, 0
	call_succeeds EID_HSM, 2
	check a1, 0
	li a0, 1
	call_fails EID_HSM, 2, SBI_ERR_INVALID_PARAM
	li a0, 0
	call_fails EID_HSM, 0, SBI_ERR_ALREADY_AVAILABLE
	li a0, 1
	call_fails EID_HSM, 0, SBI_ERR_INVALID_PARAM
	li a0, 1
	call_fails EID_HSM, 3, SBI_ERR_INVALID_PARAM
	call_fails EID_HSM, 4, SBI_ERR_NOT_SUPPORTED
	# Suspended until the timer: first where it was, then at an address of its own.
	li t0, SIP_STIP
	csrw sie, t0
	csrr a0, time
	addi a0, a0, 2000
	call_succeeds EID_TIME, 0
	li a0, 0
	call_succeeds EID_HSM, 3
	csrr a0, time
	addi a0, a0, 2000
	call_succeeds EID_TIME, 0
	li a0, 0x80000000
	la a1, resumed
	li a2, 123
	call EID_HSM, 3
	j fail
resumed:
	check a0, 0
	check a1, 123
	csrr t0, sstatus
	andi t0, t0, 2
	check t0, 0
	li a0, -1
	call_succeeds EID_TIME, 0

# What is not the firmware's comes to the supervisor.
	la s3, illegal_taken
	csrw cycle, zero
	j fail
illegal_taken:
	csrr t0, scause
	check t0, CAUSE_ILLEGAL
	la s3, access_taken
	li t0, NOWHERE
	lbu t0, 0(t0)
	j fail
access_taken:
	csrr t0, scause
	check t0, CAUSE_LOAD_ACCESS
	csrr t0, stval
	check t0, NOWHERE

# SRST.
	li a0, 3
	li a1, 0
	call_fails EID_SRST, 0, SBI_ERR_INVALID_PARAM
	li a0, 0
	li a1, 2
	call_fails EID_SRST, 0, SBI_ERR_INVALID_PARAM
	call_fails EID_SRST, 1, SBI_ERR_NOT_SUPPORTED
	li a0, 0
	li a1, 0
	call EID_SRST, 0

fail:
	slli s11, s11, 16
	li t0, FINISHER_FAIL
	or t0, t0, s11
	li t1, FINISHER_BASE
	sw t0, 0(t1)
stop:
	wfi
	j stop

# A trap that was provoked goes on at s3, in S-mode with interrupts off.
trap_expected:
	jr s3
trap_unexpected:
	li s11, 255
	j fail

	.align 3
present:
	.dword EID_BASE
	.dword EID_TIME
	.dword EID_IPI
	.dword EID_RFENCE
	.dword EID_HSM
	.dword EID_SRST
	.dword EID_DBCN
	.dword EID_LEGACY_SET_TIMER
	.dword EID_LEGACY_CONSOLE_PUTCHAR
	.dword EID_LEGACY_CONSOLE_GETCHAR
	.dword EID_LEGACY_SHUTDOWN
present_end:
buffer:
	.dword 0
text_dbcn:
	.asciz "hello"
text_legacy:
	.asciz "legacy\n"
