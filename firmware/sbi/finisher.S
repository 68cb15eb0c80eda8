# The end of the machine: the sifive_test finisher.

# Power off with exit code 1.
finisher_fail:
	li a0, FINISHER_FAIL | 1 << 16
# a0: what to write. Does not return.
finisher:
	li t0, FINISHER_BASE
	sw a0, 0(t0)
	j park
