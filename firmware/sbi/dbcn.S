# DBCN: the debug console (SBI 2.0, chapter 12). Text is taken from and put into guest-physical memory; the firmware's own
# is no business of a supervisor, and an address without memory is the caller's mistake, found by the fault it raises.

sbi_dbcn:
	li t0, 2
	beq a6, t0, dbcn_write_byte
	bgtu a6, t0, sbi_not_supported
	# a0: bytes, a1: base, a2: bits of the base beyond 64.
	bnez a2, sbi_invalid_param
	li t0, FIRMWARE_BASE + FIRMWARE_SIZE
	bltu a1, t0, sbi_invalid_param
	add a4, a1, a0
	bltu a4, a1, sbi_invalid_param
	mv a3, a1
	mv a5, ra
	la t0, dbcn_fault
	la t1, trap_resume
	sd t0, 0(t1)
	bnez a6, dbcn_read

dbcn_write:
	bgeu a3, a4, dbcn_done
	lbu a0, 0(a3)
	jal console_putchar
	addi a3, a3, 1
	j dbcn_write

dbcn_read:
	bgeu a3, a4, dbcn_done
	jal console_getchar
	bltz a0, dbcn_done
	sb a0, 0(a3)
	addi a3, a3, 1
	j dbcn_read

# a1: base, a3: the next byte.
dbcn_done:
	la t1, trap_resume
	sd zero, 0(t1)
	sub a1, a3, a1
	li a0, SBI_SUCCESS
	jr a5

dbcn_fault:
	mv ra, a5
	j sbi_invalid_param

# a0: one character in the low 8 bits.
dbcn_write_byte:
	mv t6, ra
	jal console_putchar
	mv ra, t6
	j sbi_success
