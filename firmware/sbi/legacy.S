# The legacy extensions that are still in use (SBI 2.0, chapter 5). They return one value in a0 and leave a1 alone.

sbi_legacy_set_timer:
	mv t6, ra
	jal set_timer
	mv ra, t6
	li a0, 0
	ret

sbi_legacy_console_putchar:
	mv t6, ra
	jal console_putchar
	mv ra, t6
	li a0, 0
	ret

sbi_legacy_console_getchar:
	j console_getchar

sbi_legacy_shutdown:
	j srst_shutdown
