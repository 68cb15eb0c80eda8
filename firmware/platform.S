# Where things are on the board, and how the firmware shares out the first RAM. The first block mirrors
# src/board/memory-map.ts name by name; a test compares the two.

.equ BOOT_ROM_BASE, 0x1000
.equ BOOT_ROM_SIZE, 0xf000
.equ FINISHER_BASE, 0x100000
.equ CLINT_BASE, 0x2000000
.equ UART_BASE, 0x10000000
.equ RAM_BASE, 0x80000000

# CLINT registers of hart 0.
.equ CLINT_MSIP, CLINT_BASE
.equ CLINT_MTIMECMP, CLINT_BASE + 0x4000

# UART 16550A: register offsets and line status bits.
.equ UART_DATA, 0
.equ UART_LSR, 5
.equ UART_LSR_DR, 0x01
.equ UART_LSR_THRE, 0x20

# sifive_test finisher: what to write. A failure carries an exit code in the upper half.
.equ FINISHER_FAIL, 0x3333
.equ FINISHER_PASS, 0x5555
.equ FINISHER_RESET, 0x7777

# The boot ROM: reset code, then the flattened device tree.
.equ BOOT_ROM_FDT, BOOT_ROM_BASE + 0x100

# RAM that belongs to M-mode; the firmware reserves it in the device tree that it hands on.
#   +0x00000  code and data
#   +0x0c000  stack, downwards from +0x10000
#   +0x10000  the device tree, copied, with the reservation added
#   +0x20000  end
.equ FIRMWARE_BASE, RAM_BASE
.equ FIRMWARE_STACK_TOP, RAM_BASE + 0x10000
.equ FIRMWARE_FDT, RAM_BASE + 0x10000
.equ FIRMWARE_FDT_SIZE, 0x10000
.equ FIRMWARE_SIZE, 0x20000

# Where the supervisor starts: 2 MiB above the start of RAM, as the RISC-V Linux Image asks for.
.equ KERNEL_ENTRY, RAM_BASE + 0x200000
