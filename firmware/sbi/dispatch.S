# SBI calls: extension id in a7, function id in a6, arguments in a0 to a5; error in a0 and value in a1 on return. A handler
# may use ra, a0 to a7 and t0 to t6. The table says which extensions there are, to the dispatcher and to BASE's probe alike.

.equ EXTENSION_SIZE, 16

sbi_call:
	mv t0, a7
	mv t6, ra
	jal find_extension
	mv ra, t6
	beqz t1, sbi_not_supported
	jr t1

# t0: extension id. Returns its handler in t1, or 0.
find_extension:
	la t2, extensions
	la t3, extensions_end
find_next:
	ld t1, 0(t2)
	beq t1, t0, find_found
	addi t2, t2, EXTENSION_SIZE
	bltu t2, t3, find_next
	li t1, 0
	ret
find_found:
	ld t1, 8(t2)
	ret

sbi_success:
	li a0, SBI_SUCCESS
	li a1, 0
	ret
sbi_failed:
	li a0, SBI_ERR_FAILED
	li a1, 0
	ret
sbi_not_supported:
	li a0, SBI_ERR_NOT_SUPPORTED
	li a1, 0
	ret
sbi_invalid_param:
	li a0, SBI_ERR_INVALID_PARAM
	li a1, 0
	ret
