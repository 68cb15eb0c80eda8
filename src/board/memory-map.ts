/**
 * Where things are: QEMU's riscv64 `virt` board, so that an unmodified kernel finds what it expects.
 *
 *   0x0000_1000  boot ROM: reset code and the flattened device tree
 *   0x0010_0000  sifive_test finisher (power off, reset)
 *   0x0200_0000  CLINT (msip, mtimecmp, mtime)
 *   0x0c00_0000  PLIC
 *   0x1000_0000  UART 16550A, irq 10
 *   0x1000_1000  virtio-mmio slot n at + n * 0x1000, irq 1 + n, n = 0..7
 *   0x8000_0000  RAM
 */

export const BOOT_ROM_BASE = 0x1000;
export const BOOT_ROM_SIZE = 0xf000;
export const FINISHER_BASE = 0x10_0000;
export const FINISHER_SIZE = 0x1000;
export const CLINT_BASE = 0x200_0000;
export const CLINT_SIZE = 0x1_0000;
export const PLIC_BASE = 0xc00_0000;
export const PLIC_SIZE = 0x60_0000;
export const UART_BASE = 0x1000_0000;
export const UART_SIZE = 0x100;
export const UART_IRQ = 10;
export const VIRTIO_BASE = 0x1000_1000;
export const VIRTIO_STRIDE = 0x1000;
export const VIRTIO_SIZE = 0x1000;
export const VIRTIO_SLOTS = 8;
export const RAM_BASE = 0x8000_0000;

/** mtime ticks per second; the device tree's timebase-frequency. */
export const TIMEBASE_HZ = 10_000_000;
/** PLIC sources that the device tree announces (riscv,ndev), as QEMU does. */
export const PLIC_SOURCES = 0x35;

export function virtioBase(slot: number): number {
	return VIRTIO_BASE + slot * VIRTIO_STRIDE;
}

export function virtioIrq(slot: number): number {
	return 1 + slot;
}
