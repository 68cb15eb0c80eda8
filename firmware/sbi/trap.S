# Traps that reach M-mode: SBI calls, the two CLINT interrupts, and what should never happen. The supervisor's
# registers survive, a0 and a1 of a call apart (SBI 2.0, chapter 3). mscratch holds the M-mode stack while the supervisor
# runs and 0 while M-mode does.

.equ FRAME_RA, 0
.equ FRAME_SP, 8
.equ FRAME_T0, 16
.equ FRAME_T1, 24
.equ FRAME_T2, 32
.equ FRAME_T3, 40
.equ FRAME_T4, 48
.equ FRAME_T5, 56
.equ FRAME_T6, 64
.equ FRAME_A0, 72
.equ FRAME_A1, 80
.equ FRAME_A2, 88
.equ FRAME_A3, 96
.equ FRAME_A4, 104
.equ FRAME_A5, 112
.equ FRAME_A6, 120
.equ FRAME_A7, 128
.equ FRAME_MEPC, 136
.equ FRAME_MSTATUS, 144
.equ FRAME_SIZE, 160

# mtvec ignores the two low bits: instructions of 4 bytes keep this aligned.
trap_entry:
	csrrw sp, mscratch, sp
	beqz sp, trap_from_machine
	addi sp, sp, -FRAME_SIZE
	sd ra, FRAME_RA(sp)
	sd t0, FRAME_T0(sp)
	sd t1, FRAME_T1(sp)
	sd t2, FRAME_T2(sp)
	sd t3, FRAME_T3(sp)
	sd t4, FRAME_T4(sp)
	sd t5, FRAME_T5(sp)
	sd t6, FRAME_T6(sp)
	sd a0, FRAME_A0(sp)
	sd a1, FRAME_A1(sp)
	sd a2, FRAME_A2(sp)
	sd a3, FRAME_A3(sp)
	sd a4, FRAME_A4(sp)
	sd a5, FRAME_A5(sp)
	sd a6, FRAME_A6(sp)
	sd a7, FRAME_A7(sp)
	csrrw t0, mscratch, zero
	sd t0, FRAME_SP(sp)
	# A fault of our own while we serve this trap overwrites both.
	csrr t0, mepc
	sd t0, FRAME_MEPC(sp)
	csrr t1, mstatus
	sd t1, FRAME_MSTATUS(sp)

	csrr t1, mcause
	bltz t1, trap_interrupt
	li t2, CAUSE_SUPERVISOR_ECALL
	bne t1, t2, trap_fatal
	addi t0, t0, 4
	sd t0, FRAME_MEPC(sp)
	jal sbi_call
	sd a0, FRAME_A0(sp)
	sd a1, FRAME_A1(sp)

trap_return:
	ld t0, FRAME_MSTATUS(sp)
	csrw mstatus, t0
	ld t0, FRAME_MEPC(sp)
	csrw mepc, t0
	addi t0, sp, FRAME_SIZE
	csrw mscratch, t0
	ld ra, FRAME_RA(sp)
	ld t0, FRAME_T0(sp)
	ld t1, FRAME_T1(sp)
	ld t2, FRAME_T2(sp)
	ld t3, FRAME_T3(sp)
	ld t4, FRAME_T4(sp)
	ld t5, FRAME_T5(sp)
	ld t6, FRAME_T6(sp)
	ld a0, FRAME_A0(sp)
	ld a1, FRAME_A1(sp)
	ld a2, FRAME_A2(sp)
	ld a3, FRAME_A3(sp)
	ld a4, FRAME_A4(sp)
	ld a5, FRAME_A5(sp)
	ld a6, FRAME_A6(sp)
	ld a7, FRAME_A7(sp)
	ld sp, FRAME_SP(sp)
	mret

# t1: mcause with the interrupt bit set. The machine timer and the software interrupt become the supervisor's.
trap_interrupt:
	andi t1, t1, 0xff
	li t2, IRQ_M_TIMER
	bne t1, t2, trap_not_timer
	li t0, MIP_MTIP
	csrc mie, t0
	li t0, MIP_STIP
	csrs mip, t0
	j trap_return
trap_not_timer:
	li t2, IRQ_M_SOFT
	bne t1, t2, trap_fatal
	li t0, CLINT_MSIP
	sw zero, 0(t0)
	li t0, MIP_SSIP
	csrs mip, t0
	j trap_return

# A trap of the firmware itself. Code that touches memory at a caller's address leaves in trap_resume where to go on if
# that faults; anything else is a bug.
trap_from_machine:
	csrrw sp, mscratch, sp
	la t0, trap_resume
	ld t1, 0(t0)
	beqz t1, trap_fatal
	sd zero, 0(t0)
	csrw mepc, t1
	mret

trap_fatal:
	la a0, text_trap
	jal console_puts
	csrr a0, mcause
	jal console_put_hex
	la a0, text_mepc
	jal console_puts
	csrr a0, mepc
	jal console_put_hex
	la a0, text_mtval
	jal console_puts
	csrr a0, mtval
	jal console_put_hex
	li a0, 10
	jal console_putchar
	j finisher_fail
