# Linux system calls of riscv64 (include/uapi/asm-generic/unistd.h), and the constants that init passes to them.

.equ SYS_MOUNT, 40
.equ SYS_OPENAT, 56
.equ SYS_CLOSE, 57
.equ SYS_READ, 63
.equ SYS_WRITE, 64
.equ SYS_NANOSLEEP, 101
.equ SYS_REBOOT, 142
.equ SYS_MUNMAP, 215
.equ SYS_MMAP, 222
.equ SYS_FINIT_MODULE, 273

.equ AT_FDCWD, -100
.equ O_RDONLY, 0
.equ STDOUT, 1
.equ PROT_READ_WRITE, 3
.equ MAP_PRIVATE_ANONYMOUS, 0x22
.equ PAGE_SIZE, 4096
.equ LINUX_REBOOT_MAGIC1, 0xfee1dead
.equ LINUX_REBOOT_MAGIC2, 672274793
.equ LINUX_REBOOT_CMD_POWER_OFF, 0x4321fedc
