/**
 * The machine's device tree: what QEMU's virt board says of the same parts, so that an unmodified kernel finds them.
 * Bindings: Linux Documentation/devicetree/bindings (riscv/cpus.yaml, sifive,plic-1.0.0.yaml, sifive,clint.yaml,
 * virtio/mmio.yaml, chosen of the Devicetree specification 3.6).
 */
import {cells, cells64, EMPTY, node, strings, writeFdt, type FdtNode, type FdtReservation} from './fdt.js';
import {
	CLINT_BASE,
	CLINT_SIZE,
	FINISHER_BASE,
	FINISHER_SIZE,
	PLIC_BASE,
	PLIC_SIZE,
	PLIC_SOURCES,
	RAM_BASE,
	TIMEBASE_HZ,
	UART_BASE,
	UART_IRQ,
	UART_SIZE,
	VIRTIO_SIZE,
	VIRTIO_SLOTS,
	virtioBase,
	virtioIrq,
} from './memory-map.js';

/** Interrupts of a hart, by their number in mip: what `interrupts-extended` names. */
const IRQ_M_SOFT = 3;
const IRQ_M_TIMER = 7;
const IRQ_S_EXT = 9;
const IRQ_M_EXT = 11;

/** What the UART would divide by its divisor times 16: the PC's 1.8432 MHz crystal, doubled, as QEMU says. */
const UART_CLOCK_HZ = 3_686_400;

const PLIC_PHANDLE = 1;
/** Interrupt controller of hart h: HART_PHANDLE + h. */
const HART_PHANDLE = 2;

/** The instruction set of cpu-lite as riscv/extensions.yaml spells it. */
const ISA_EXTENSIONS = ['i', 'm', 'a', 'c', 'zicntr', 'zicsr', 'zifencei'] as const;

export interface DeviceTreeOptions {
	/** RAM from RAM_BASE on, bytes. */
	ramBytes: number;
	harts?: number;
	/** The kernel's command line. */
	bootargs?: string;
	/** Where an initial ramdisk lies: [start, end), guest-physical. */
	initrd?: {start: number; end: number};
	/** Seed of the kernel's random numbers (chosen/rng-seed): the same seed, the same boot. */
	rngSeed?: Uint8Array;
	/** Memory reservation block: what a kernel must leave alone. */
	reservations?: readonly FdtReservation[];
}

/** The flattened device tree of a machine. */
export function buildDeviceTree(options: DeviceTreeOptions): Uint8Array {
	return writeFdt(deviceTree(options), {reservations: options.reservations ?? []});
}

/** The same as a tree. */
export function deviceTree(options: DeviceTreeOptions): FdtNode {
	const {ramBytes, harts = 1} = options;
	return node(
		'',
		[
			['#address-cells', cells(2)],
			['#size-cells', cells(2)],
			['compatible', strings('riscv-virtio')],
			['model', strings('riscv-virtio,vmsim')],
		],
		[
			chosen(options),
			cpus(harts),
			node(`memory@${RAM_BASE.toString(16)}`, [
				['device_type', strings('memory')],
				['reg', cells64(RAM_BASE, ramBytes)],
			]),
			soc(harts),
		],
	);
}

function chosen({bootargs, initrd, rngSeed}: DeviceTreeOptions): FdtNode {
	const properties: [string, Uint8Array][] = [
		['stdout-path', strings(`/soc/serial@${UART_BASE.toString(16)}`)],
	];
	if (bootargs !== undefined) {
		properties.push(['bootargs', strings(bootargs)]);
	}
	if (initrd) {
		properties.push(['linux,initrd-start', cells64(initrd.start)], ['linux,initrd-end', cells64(initrd.end)]);
	}
	if (rngSeed) {
		properties.push(['rng-seed', rngSeed]);
	}
	return node('chosen', properties);
}

function cpus(harts: number): FdtNode {
	return node(
		'cpus',
		[
			['#address-cells', cells(1)],
			['#size-cells', cells(0)],
			['timebase-frequency', cells(TIMEBASE_HZ)],
		],
		Array.from({length: harts}, (_, hart) =>
			node(
				`cpu@${hart.toString(16)}`,
				[
					['device_type', strings('cpu')],
					['reg', cells(hart)],
					['status', strings('okay')],
					['compatible', strings('riscv')],
					['riscv,isa', strings('rv64imac')],
					['riscv,isa-base', strings('rv64i')],
					['riscv,isa-extensions', strings(...ISA_EXTENSIONS)],
					['mmu-type', strings('riscv,sv39')],
				],
				[
					node('interrupt-controller', [
						['#address-cells', cells(0)],
						['#interrupt-cells', cells(1)],
						['interrupt-controller', EMPTY],
						['compatible', strings('riscv,cpu-intc')],
						['phandle', cells(HART_PHANDLE + hart)],
					]),
				],
			),
		),
	);
}

/** `interrupts-extended` of a controller that drives two interrupts of every hart. */
function toHarts(harts: number, first: number, second: number): Uint8Array {
	return cells(
		...Array.from({length: harts}, (_, hart) => [
			HART_PHANDLE + hart,
			first,
			HART_PHANDLE + hart,
			second,
		]).flat(),
	);
}

/** A device at an address, with a `reg` of its own. */
function device(
	name: string,
	base: number,
	sizeBytes: number,
	properties: readonly (readonly [string, Uint8Array])[],
): FdtNode {
	return node(`${name}@${base.toString(16)}`, [['reg', cells64(base, sizeBytes)], ...properties]);
}

function soc(harts: number): FdtNode {
	const irq = (number: number): [string, Uint8Array][] => [
		['interrupts', cells(number)],
		['interrupt-parent', cells(PLIC_PHANDLE)],
	];
	return node(
		'soc',
		[
			['#address-cells', cells(2)],
			['#size-cells', cells(2)],
			['compatible', strings('simple-bus')],
			['ranges', EMPTY],
		],
		[
			device('test', FINISHER_BASE, FINISHER_SIZE, [
				['compatible', strings('sifive,test1', 'sifive,test0', 'syscon')],
			]),
			device('clint', CLINT_BASE, CLINT_SIZE, [
				['compatible', strings('sifive,clint0', 'riscv,clint0')],
				['interrupts-extended', toHarts(harts, IRQ_M_SOFT, IRQ_M_TIMER)],
			]),
			device('plic', PLIC_BASE, PLIC_SIZE, [
				['compatible', strings('sifive,plic-1.0.0', 'riscv,plic0')],
				['interrupt-controller', EMPTY],
				['#interrupt-cells', cells(1)],
				['#address-cells', cells(0)],
				['riscv,ndev', cells(PLIC_SOURCES)],
				['interrupts-extended', toHarts(harts, IRQ_M_EXT, IRQ_S_EXT)],
				['phandle', cells(PLIC_PHANDLE)],
			]),
			device('serial', UART_BASE, UART_SIZE, [
				['compatible', strings('ns16550a')],
				['clock-frequency', cells(UART_CLOCK_HZ)],
				...irq(UART_IRQ),
			]),
			...Array.from({length: VIRTIO_SLOTS}, (_, slot) =>
				device('virtio_mmio', virtioBase(slot), VIRTIO_SIZE, [
					['compatible', strings('virtio,mmio')],
					...irq(virtioIrq(slot)),
				]),
			),
		],
	);
}
