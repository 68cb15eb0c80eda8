# Quicksort (Hoare) of 16384 pseudo-random 64-bit numbers, a0 times: calls, unpredictable branches.
kernel:
	addi	sp, sp, -16
	sd	ra, 0(sp)
	la	s0, memory
	li	s1, 16384
	li	s2, 88172645463325252
	mv	s3, a0
1:	mv	t0, s0
	slli	t1, s1, 3
	add	t1, t1, s0
2:	slli	t2, s2, 13
	xor	s2, s2, t2
	srli	t2, s2, 7
	xor	s2, s2, t2
	slli	t2, s2, 17
	xor	s2, s2, t2
	sd	s2, 0(t0)
	addi	t0, t0, 8
	bltu	t0, t1, 2b
	mv	a0, s0
	addi	a1, t1, -8
	call	quicksort
	addi	s3, s3, -1
	bnez	s3, 1b
	ld	a0, 0(s0)
	ld	ra, 0(sp)
	addi	sp, sp, 16
	ret

# a0, a1: address of the first and the last element.
quicksort:
	bgeu	a0, a1, 9f
	addi	sp, sp, -32
	sd	ra, 0(sp)
	sub	t0, a1, a0
	srli	t0, t0, 4
	slli	t0, t0, 3
	add	t0, t0, a0
	ld	t0, 0(t0)
	addi	t1, a0, -8
	addi	t2, a1, 8
3:	addi	t1, t1, 8
	ld	t3, 0(t1)
	blt	t3, t0, 3b
4:	addi	t2, t2, -8
	ld	t4, 0(t2)
	blt	t0, t4, 4b
	bgeu	t1, t2, 5f
	sd	t4, 0(t1)
	sd	t3, 0(t2)
	j	3b
5:	sd	a1, 8(sp)
	sd	t2, 16(sp)
	mv	a1, t2
	call	quicksort
	ld	a0, 16(sp)
	ld	a1, 8(sp)
	addi	a0, a0, 8
	call	quicksort
	ld	ra, 0(sp)
	addi	sp, sp, 32
9:	ret
