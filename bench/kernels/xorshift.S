# xorshift64* generator, a0 steps: shifts, xors and a multiplication, no memory.
kernel:
	li	t0, 88172645463325252
	li	t4, 2685821657736338717
	li	a1, 0
1:	slli	t1, t0, 13
	xor	t0, t0, t1
	srli	t1, t0, 7
	xor	t0, t0, t1
	slli	t1, t0, 17
	xor	t0, t0, t1
	mul	t1, t0, t4
	add	a1, a1, t1
	addi	a0, a0, -1
	bnez	a0, 1b
	mv	a0, a1
	ret
