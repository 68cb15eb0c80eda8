# Fills 128 KiB with 64-bit words and copies it, a0 times, eight bytes at a time.
kernel:
	la	s0, memory
	li	s1, 0x20000
	add	s2, s0, s1
1:	mv	t0, s0
	mv	t2, a0
2:	sd	t2, 0(t0)
	addi	t2, t2, 7
	addi	t0, t0, 8
	bltu	t0, s2, 2b
	mv	t0, s0
	mv	t1, s2
3:	ld	t2, 0(t0)
	ld	t3, 8(t0)
	sd	t2, 0(t1)
	sd	t3, 8(t1)
	addi	t0, t0, 16
	addi	t1, t1, 16
	bltu	t0, s2, 3b
	addi	a0, a0, -1
	bnez	a0, 1b
	ld	a0, -8(t1)
	ret
