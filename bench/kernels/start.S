# Runs `kernel` with a0 = rounds in M-mode and powers the machine off with its result at `result`.
# QEMU's virt board and ours start this image at 0x80000000.
	.text
_start:
	la	sp, stack_top
	li	a0, rounds
	call	kernel
	la	t0, result
	sd	a0, 0(t0)
	li	t0, 0x100000
	li	t1, 0x5555
	sw	t1, 0(t0)
1:	wfi
	j	1b

	.bss
	.balign 4096
	.skip 65536
stack_top:
result:	.skip 8
	.balign 4096
memory:	.skip 0x80000

	.text
	.include "kernel.S"
