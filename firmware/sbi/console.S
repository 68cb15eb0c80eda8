# Characters through the UART 16550A, by polling its line status. It keeps whatever set-up it has: ours needs none.

# a0: the character. Uses t0 and t1.
console_putchar:
	li t0, UART_BASE
console_busy:
	lbu t1, UART_LSR(t0)
	andi t1, t1, UART_LSR_THRE
	beqz t1, console_busy
	sb a0, UART_DATA(t0)
	ret

# Returns a character in a0, or -1 if none waits.
console_getchar:
	li t0, UART_BASE
	li a0, -1
	lbu t1, UART_LSR(t0)
	andi t1, t1, UART_LSR_DR
	beqz t1, console_none
	lbu a0, UART_DATA(t0)
console_none:
	ret

# a0: a zero-terminated text. Uses t2 and t3 as well.
console_puts:
	mv t2, a0
	mv t3, ra
console_next:
	lbu a0, 0(t2)
	beqz a0, console_end
	jal console_putchar
	addi t2, t2, 1
	j console_next
console_end:
	jr t3

# a0: a number; 16 hexadecimal digits.
console_put_hex:
	mv t2, a0
	mv t3, ra
	li t4, 60
console_digit:
	srl a0, t2, t4
	andi a0, a0, 15
	addi a0, a0, 48
	li t5, 58
	bltu a0, t5, console_decimal
	# From ':' to 'a'.
	addi a0, a0, 39
console_decimal:
	jal console_putchar
	addi t4, t4, -4
	bgez t4, console_digit
	jr t3
