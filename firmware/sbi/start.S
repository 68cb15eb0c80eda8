# The firmware's entry at the start of RAM: hart id in a0 and device tree in a1 from the boot ROM. Sets up M-mode once
# and drops to S-mode at KERNEL_ENTRY with the hart id in a0 and the device tree in a1 (Linux
# Documentation/arch/riscv/boot.rst). Interrupts are off and satp is 0 there.

# All causes that a supervisor can handle: everything but ecall from S and M (RISC-V privileged, medeleg).
.equ MEDELEG, 0xb1ff
.equ MIDELEG, MIP_SSIP | MIP_STIP | MIP_SEIP
# cycle, time and instret.
.equ MCOUNTEREN, 7
# One NAPOT entry over everything, readable, writable, executable.
.equ PMPCFG_ALL, 0x1f

firmware_start:
	csrw mie, zero
	la t0, trap_entry
	csrw mtvec, t0
	# 0 says that a trap comes from M-mode itself.
	csrw mscratch, zero
	csrr s0, mhartid
	bnez s0, park
	li sp, FIRMWARE_STACK_TOP

	mv a0, a1
	jal fdt_reserve_firmware
	mv s1, a0

	li t0, MEDELEG
	csrw medeleg, t0
	li t0, MIDELEG
	csrw mideleg, t0
	li t0, MCOUNTEREN
	csrw mcounteren, t0
	li t0, -1
	csrw pmpaddr0, t0
	li t0, PMPCFG_ALL
	csrw pmpcfg0, t0

	# No timer, no interrupt of a former life.
	li t0, -1
	li t1, CLINT_MTIMECMP
	sd t0, 0(t1)
	li t1, CLINT_MSIP
	sw zero, 0(t1)
	li t0, MIDELEG
	csrc mip, t0
	li t0, MIP_MSIP
	csrw mie, t0

	csrw satp, zero
	csrw stvec, zero
	csrw sscratch, zero
	li a0, KERNEL_ENTRY
	mv a1, s1

# Drops to S-mode at a0 with the hart id in a0 and a1 passed on. The way in after reset and after a suspend.
enter_supervisor:
	csrw mepc, a0
	li t0, MSTATUS_MPP
	csrc mstatus, t0
	li t0, MSTATUS_MPP_S
	csrs mstatus, t0
	# Traps start on an empty stack.
	li sp, FIRMWARE_STACK_TOP
	csrw mscratch, sp
	csrr a0, mhartid
	fence.i
	mret

# A hart that nobody will start, or that stopped itself.
park:
	csrw mie, zero
park_loop:
	wfi
	j park_loop
