# The only program of the Linux guest: loads the balloon's modules, touches and frees memory, waits, shows what the kernel
# says of its memory, powers off. Integer instructions and raw system calls only, so that it runs on rv64imac.
#
# Kernel command line: vmsim.wait=S seconds to wait before touching and again after freeing (default 5),
# vmsim.touch=N MiB to touch (default 0: none).

.include "linux-init/system-calls.S"

.equ DEFAULT_WAIT_S, 5
.equ BUFFER_SIZE, 4096

init_start:
	la a0, text_started
	jal print
	la a0, text_proc
	la a1, path_proc
	mv a2, a0
	li a3, 0
	li a4, 0
	li a7, SYS_MOUNT
	ecall
	la a1, text_mount
	jal check

	la a0, path_virtio_mmio
	jal load_module
	la a0, path_virtio_balloon
	jal load_module

	la a0, path_cmdline
	jal read_file
	la a0, option_wait
	li a1, DEFAULT_WAIT_S
	jal option
	mv s10, a0
	la a0, option_touch
	li a1, 0
	jal option
	mv s11, a0

	mv a0, s10
	jal sleep
	beqz s11, init_idle
	mv a0, s11
	jal touch
init_idle:
	mv a0, s10
	jal sleep

	la a0, path_meminfo
	jal show_file
	la a0, path_buddyinfo
	jal show_file
	la a0, text_done
	jal print
power_off:
	li a0, LINUX_REBOOT_MAGIC1
	li a1, LINUX_REBOOT_MAGIC2
	li a2, LINUX_REBOOT_CMD_POWER_OFF
	li a7, SYS_REBOOT
	ecall
	j power_off

# a0: result of a system call, a1: what it was. Goes on if it succeeded, else says so and powers off.
check:
	bltz a0, check_failed
	ret
check_failed:
	neg s0, a0
	mv s1, a1
	la a0, text_failed
	jal print
	mv a0, s1
	jal print
	la a0, text_errno
	jal print
	mv a0, s0
	jal print_decimal
	la a0, text_newline
	jal print
	j power_off

# a0: path. Uses s0 and s1, as all that follow do.
load_module:
	mv s1, ra
	mv s0, a0
	jal open
	la a1, text_empty
	li a2, 0
	li a7, SYS_FINIT_MODULE
	ecall
	mv a1, s0
	jal check
	la a0, text_loaded
	jal print
	mv a0, s0
	jal print
	la a0, text_newline
	jal print
	jr s1

# a0: path. Returns the descriptor in a0. Uses s2 and s3.
open:
	mv s3, ra
	mv s2, a0
	mv a1, a0
	li a0, AT_FDCWD
	li a2, O_RDONLY
	li a3, 0
	li a7, SYS_OPENAT
	ecall
	mv a1, s2
	jal check
	jr s3

# a0: path. Reads up to BUFFER_SIZE - 1 bytes into buffer, zero-terminated.
read_file:
	mv s1, ra
	jal open
	mv s0, a0
	la a1, buffer
	li a2, BUFFER_SIZE - 1
	li a7, SYS_READ
	ecall
	la a1, text_read
	jal check
	la a1, buffer
	add a1, a1, a0
	sb zero, 0(a1)
	mv a0, s0
	li a7, SYS_CLOSE
	ecall
	jr s1

# a0: path. Prints its name and its contents.
show_file:
	mv s4, ra
	mv s5, a0
	la a0, text_file
	jal print
	mv a0, s5
	jal print
	la a0, text_newline
	jal print
	mv a0, s5
	jal read_file
	la a0, buffer
	jal print
	jr s4

# a0: `name=`, a1: default. Returns in a0 the decimal number that follows the name on the command line in buffer.
option:
	la t0, buffer
option_at:
	lbu t1, 0(t0)
	beqz t1, option_default
	mv t2, t0
	mv t3, a0
option_compare:
	lbu t4, 0(t3)
	beqz t4, option_found
	lbu t1, 0(t2)
	addi t2, t2, 1
	addi t3, t3, 1
	beq t1, t4, option_compare
	addi t0, t0, 1
	j option_at
option_default:
	mv a0, a1
	ret
option_found:
	li a0, 0
	li t5, 10
option_digit:
	lbu t1, 0(t2)
	addi t1, t1, -48
	bgeu t1, t5, option_end
	mul a0, a0, t5
	add a0, a0, t1
	addi t2, t2, 1
	j option_digit
option_end:
	ret

# a0: seconds.
sleep:
	addi sp, sp, -16
	sd a0, 0(sp)
	sd zero, 8(sp)
	mv a0, sp
	li a1, 0
	li a7, SYS_NANOSLEEP
	ecall
	addi sp, sp, 16
	ret

# a0: MiB. Maps them, writes each page's own address into it, reads all of them back, and gives them up again.
touch:
	mv s4, ra
	mv s5, a0
	slli s6, a0, 20
	li a0, 0
	mv a1, s6
	li a2, PROT_READ_WRITE
	li a3, MAP_PRIVATE_ANONYMOUS
	li a4, -1
	li a5, 0
	li a7, SYS_MMAP
	ecall
	la a1, text_mmap
	jal check
	mv s7, a0
	add s8, a0, s6
	li t1, PAGE_SIZE
	mv t0, s7
touch_write:
	sd t0, 0(t0)
	add t0, t0, t1
	bltu t0, s8, touch_write
	la a0, text_touched
	jal touch_say
	li t1, PAGE_SIZE
	mv t0, s7
touch_read:
	ld t2, 0(t0)
	bne t2, t0, touch_lost
	add t0, t0, t1
	bltu t0, s8, touch_read
	mv a0, s7
	mv a1, s6
	li a7, SYS_MUNMAP
	ecall
	la a1, text_munmap
	jal check
	la a0, text_freed
	jal touch_say
	jr s4
touch_lost:
	la a0, text_lost
	jal print
	j power_off

# a0: what happened to s5 MiB.
touch_say:
	mv s9, ra
	jal print
	mv a0, s5
	jal print_decimal
	la a0, text_mib
	jal print
	jr s9

# a0: a zero-terminated text.
print:
	mv a1, a0
	mv a2, a0
print_length:
	lbu t0, 0(a2)
	beqz t0, print_write
	addi a2, a2, 1
	j print_length
print_write:
	sub a2, a2, a1
	li a0, STDOUT
	li a7, SYS_WRITE
	ecall
	ret

# a0: a number below 2^63.
print_decimal:
	addi sp, sp, -32
	sd ra, 24(sp)
	addi t0, sp, 20
	sb zero, 0(t0)
	li t1, 10
print_digit:
	remu t2, a0, t1
	divu a0, a0, t1
	addi t2, t2, 48
	addi t0, t0, -1
	sb t2, 0(t0)
	bnez a0, print_digit
	mv a0, t0
	jal print
	ld ra, 24(sp)
	addi sp, sp, 32
	ret

path_proc:
	.asciz "/proc"
path_cmdline:
	.asciz "/proc/cmdline"
path_meminfo:
	.asciz "/proc/meminfo"
path_buddyinfo:
	.asciz "/proc/buddyinfo"
path_virtio_mmio:
	.asciz "/virtio_mmio.ko"
path_virtio_balloon:
	.asciz "/virtio_balloon.ko"
option_wait:
	.asciz "vmsim.wait="
option_touch:
	.asciz "vmsim.touch="
text_started:
	.asciz "vmsim-init: started\n"
text_proc:
	.asciz "proc"
text_mount:
	.asciz "mount"
text_read:
	.asciz "read"
text_mmap:
	.asciz "mmap"
text_munmap:
	.asciz "munmap"
text_failed:
	.asciz "vmsim-init: failed: "
text_errno:
	.asciz ", errno "
text_loaded:
	.asciz "vmsim-init: loaded "
text_touched:
	.asciz "vmsim-init: touched "
text_freed:
	.asciz "vmsim-init: freed "
text_lost:
	.asciz "vmsim-init: failed: memory lost its contents\n"
text_mib:
	.asciz " MiB\n"
text_file:
	.asciz "vmsim-init: "
text_done:
	.asciz "vmsim-init: done\n"
text_newline:
	.asciz "\n"
text_empty:
	.asciz ""

	.bss
buffer:
	.skip BUFFER_SIZE
