# Boot ROM, at BOOT_ROM_BASE: the first instructions after reset. Hart id in a0, device tree in a1, jump to the firmware
# at the start of RAM. The machine places the flattened device tree at BOOT_ROM_FDT, in the same ROM.

.include "platform.S"

reset:
	csrr a0, mhartid
	li a1, BOOT_ROM_FDT
	li t0, RAM_BASE
	jr t0
