# The device tree on its way through: copied to RAM, with the firmware's own memory put into its memory reservation
# block (Devicetree specification 0.4, 5.3), because a kernel takes all RAM that nobody reserves.

.equ FDT_MAGIC_SWAPPED, 0xedfe0dd0
.equ FDT_TOTALSIZE, 4
.equ FDT_OFF_STRUCT, 8
.equ FDT_OFF_STRINGS, 12
.equ FDT_OFF_RSVMAP, 16
.equ FDT_RSV_ENTRY_SIZE, 16

# a0: a flattened device tree anywhere, or 0. Returns in a0 the copy at FIRMWARE_FDT, one reservation longer. What is not a
# device tree goes through unchanged: the kernel says more about it than we could.
fdt_reserve_firmware:
	beqz a0, fdt_not_one
	lwu t0, 0(a0)
	li t1, FDT_MAGIC_SWAPPED
	bne t0, t1, fdt_not_one
	addi sp, sp, -16
	sd ra, 0(sp)
	mv a2, a0
	addi a0, a2, FDT_TOTALSIZE
	jal load_be32
	addi t0, a0, FDT_RSV_ENTRY_SIZE
	li t1, FIRMWARE_FDT_SIZE
	bgtu t0, t1, fdt_too_large
	add a4, a2, a0
	addi a0, a2, FDT_OFF_RSVMAP
	jal load_be32
	add a5, a2, a0
	li a3, FIRMWARE_FDT

	# [start, rsvmap) | the new entry | [rsvmap, end)
	mv t0, a2
	mv t1, a3
	mv t2, a5
	jal copy_bytes
	mv a6, t1
	sd zero, 0(a6)
	sd zero, 8(a6)
	mv a0, a6
	li a1, FIRMWARE_BASE
	jal store_be64
	addi a0, a6, 8
	li a1, FIRMWARE_SIZE
	jal store_be64
	mv t0, a5
	addi t1, a6, FDT_RSV_ENTRY_SIZE
	mv t2, a4
	jal copy_bytes

	# What lay behind the insertion moved. The offset of the reservation block itself did not.
	addi a0, a3, FDT_TOTALSIZE
	jal fdt_grow
	addi a0, a3, FDT_OFF_STRUCT
	jal fdt_grow
	addi a0, a3, FDT_OFF_STRINGS
	jal fdt_grow
	mv a0, a3
	ld ra, 0(sp)
	addi sp, sp, 16
fdt_not_one:
	ret

fdt_too_large:
	la a0, text_fdt_too_large
	jal console_puts
	j finisher_fail

# Copies bytes from t0 up to t2 to t1; t0 and t1 end behind what was copied.
copy_bytes:
	bgeu t0, t2, copied
	lbu t3, 0(t0)
	sb t3, 0(t1)
	addi t0, t0, 1
	addi t1, t1, 1
	j copy_bytes
copied:
	ret

# Adds FDT_RSV_ENTRY_SIZE to the header word at a0.
fdt_grow:
	mv t5, ra
	mv t4, a0
	jal load_be32
	addi a1, a0, FDT_RSV_ENTRY_SIZE
	slli a1, a1, 32
	mv a0, t4
	# The word in the upper half, as store_be64 would write it first.
	li t2, 4
	jal store_be
	mv ra, t5
	ret

# a0: address. Returns the big-endian word at it in a0.
load_be32:
	lbu t0, 0(a0)
	lbu t1, 1(a0)
	slli t0, t0, 8
	or t0, t0, t1
	lbu t1, 2(a0)
	slli t0, t0, 8
	or t0, t0, t1
	lbu t1, 3(a0)
	slli t0, t0, 8
	or a0, t0, t1
	ret

# a0: address, a1: value. Stores it in big-endian order.
store_be64:
	li t2, 8
# t2: how many bytes of a1 to store, from the most significant one.
store_be:
	srli t0, a1, 56
	sb t0, 0(a0)
	slli a1, a1, 8
	addi a0, a0, 1
	addi t2, t2, -1
	bnez t2, store_be
	ret
