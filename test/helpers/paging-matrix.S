# Every combination of the eight low bits of a leaf PTE with loads, stores and fetches from U and S, SUM and MXR; then the
# same bits in a PTE that spans 2 MiB. M-mode makes the accesses with MPRV, fetches by mret. Logs three bytes each: the
# cause of the trap (0: none), whether mtval is the address, the PTE's low byte afterwards. Sends the log to the UART.
	.equ VA, 0x40000000
	.equ VA_SUPER, 0x40200000
	.equ MPRV, 1 << 17
	.equ MPP, 3 << 11

	.text
	la	t0, handler
	csrw	mtvec, t0
	li	t0, -1
	csrw	pmpaddr0, t0
	li	t0, 0x1f
	csrw	pmpcfg0, t0
	la	s0, log
	la	t0, root
	srli	t0, t0, 12
	li	t1, 8 << 60
	or	t0, t0, t1
	csrw	satp, t0

	la	s1, level0
	la	s2, target
	li	s3, VA
	call	matrix
	la	s1, level1 + 8
	li	s2, large
	li	s3, VA_SUPER
	call	matrix
	li	s2, large + 4096	# misaligned
	call	matrix

	la	t0, log
	li	t1, uart
1:	lbu	t2, 0(t0)
	sb	t2, 0(t1)
	addi	t0, t0, 1
	bne	t0, s0, 1b
	li	t0, finisher
	li	t1, 0x5555
	sw	t1, 0(t0)
	j	.

# s1: where the PTE is, s2: what it points to, s3: the virtual address.
matrix:	mv	s4, ra
	srli	s2, s2, 2
	li	s5, 0			# the flags
1:	li	s6, 0			# SUM and MXR
2:	slli	s7, s6, 18
	li	t0, MPRV
	or	s7, s7, t0
	la	s11, load		# loads and stores, from U
	call	try
	la	s11, store
	call	try
	li	t0, 1 << 11		# and from S
	or	s7, s7, t0
	call	try
	la	s11, load
	call	try
	addi	s6, s6, 1
	li	t0, 4
	bne	s6, t0, 2b
	la	s11, fetch
	li	s7, 0
	call	try
	li	s7, 1 << 11
	call	try
	addi	s5, s5, 1
	li	t0, 256
	bne	s5, t0, 1b
	mv	ra, s4
	ret

# Makes one access as s11 says, with s7 in mstatus, and logs what comes of it.
try:	or	t0, s2, s5
	sd	t0, 0(s1)
	sfence.vma
	li	s8, 0
	li	s9, 0
	li	t0, MPP
	csrc	mstatus, t0
	csrs	mstatus, s7
	jr	s11
load:	ld	t0, 64(s3)
	j	done
store:	sd	zero, 64(s3)
	j	done
fetch:	csrw	mepc, s3
	mret
	.balign 4
handler: csrr	s8, mcause
	csrr	s9, mtval
	andi	s9, s9, ~64
	xor	s9, s9, s3
	snez	s9, s9
done:	li	t0, MPRV | 3 << 18
	csrc	mstatus, t0
	sb	s8, 0(s0)
	sb	s9, 1(s0)
	ld	t0, 0(s1)
	sb	t0, 2(s0)
	addi	s0, s0, 3
	ret

	.data
	.balign 4096
root:	.dword 0, (level1 >> 12) << 10 | 1
	.balign 4096
level1:	.dword (level0 >> 12) << 10 | 1
	.balign 4096
level0:	.dword 0
	.balign 4096
# What a fetch finds; as a page table it has no valid entry.
target:	.fill 16, 4, 0x00100014
	.balign 4096
	.bss
	.balign 4096
log:	.zero 65536
