# Sieve of Eratosthenes over 64 KiB of bytes, a0 times: byte stores, short loops.
kernel:
	la	s0, memory
	li	s1, 65536
1:	# every number may be a prime
	mv	t0, s0
	add	t1, s0, s1
	li	t2, 1
2:	sb	t2, 0(t0)
	addi	t0, t0, 1
	bne	t0, t1, 2b
	li	t3, 2
	li	a1, 0
3:	add	t0, s0, t3
	lbu	t2, 0(t0)
	beqz	t2, 5f
	addi	a1, a1, 1
	add	t0, t0, t3
	bgeu	t0, t1, 5f
4:	sb	zero, 0(t0)
	add	t0, t0, t3
	bltu	t0, t1, 4b
5:	addi	t3, t3, 1
	bne	t3, s1, 3b
	addi	a0, a0, -1
	bnez	a0, 1b
	mv	a0, a1
	ret
