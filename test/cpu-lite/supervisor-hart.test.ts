/** The supervisor's view of the real hart, with the real firmware underneath. */
import test from 'ava';
import {Bus} from '../../src/board/bus.js';
import {Clint} from '../../src/board/clint.js';
import {Clock} from '../../src/board/clock.js';
import {buildDeviceTree} from '../../src/board/device-tree.js';
import {Finisher, type Finish} from '../../src/board/finisher.js';
import {
	BOOT_ROM_BASE,
	BOOT_ROM_SIZE,
	CLINT_BASE,
	CLINT_SIZE,
	FINISHER_BASE,
	FINISHER_SIZE,
	RAM_BASE,
	TIMEBASE_HZ,
	UART_BASE,
	UART_SIZE,
} from '../../src/board/memory-map.js';
import {Uart} from '../../src/board/uart.js';
import {GuestTrap, IRQ_S_EXT, IRQ_S_TIMER} from '../../src/cpu-lite/hart.js';
import {INT_MSI, INT_MTI, INT_SEI, PRV_S} from '../../src/cpu-lite/privilege.js';
import {RvHart} from '../../src/cpu-lite/rv-hart.js';
import {SupervisorHart} from '../../src/cpu-lite/supervisor-hart.js';
import {VmsimError} from '../../src/errors.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {BOOT_ROM_FDT_OFFSET, KERNEL_OFFSET, loadFirmware} from '../../src/loader/firmware.js';
import {MiB} from '../../src/units.js';

const RAM_SIZE = 16 * MiB;
const FREE = RAM_BASE + 8 * MiB;

class Board {
	readonly clock = new Clock();
	readonly bus = new Bus();
	readonly memory: GuestMemory;
	readonly rv: RvHart;
	readonly hart: SupervisorHart;
	console = '';
	finish: Finish | undefined;

	constructor() {
		const {clock, bus} = this;
		const firmware = loadFirmware();
		this.memory = new GuestMemory({base: RAM_BASE, sizeBytes: RAM_SIZE, host: new HostMemory()});
		this.rv = new RvHart({
			hartId: 0,
			memory: this.memory,
			bus,
			clock,
			timebaseHz: TIMEBASE_HZ,
			codePages: 16,
		});
		const entry = RAM_BASE + KERNEL_OFFSET;
		this.hart = new SupervisorHart({
			hart: this.rv,
			ram: this.memory,
			bus,
			clock,
			timebaseHz: TIMEBASE_HZ,
			entry,
		});
		const rom = new Uint8Array(BOOT_ROM_SIZE);
		rom.set(firmware.bootRom);
		rom.set(buildDeviceTree({ramBytes: RAM_SIZE}), BOOT_ROM_FDT_OFFSET);
		this.memory.writeBytes(RAM_BASE, firmware.sbi);
		const clint = new Clint({
			clock,
			timebaseHz: TIMEBASE_HZ,
			harts: 1,
			softwareInterrupt: (_, level) => this.rv.setInterrupt(INT_MSI, level),
			timerInterrupt: (_, level) => this.rv.setInterrupt(INT_MTI, level),
		});
		const finisher = new Finisher((finish) => {
			this.finish = finish;
			this.rv.stop();
		});
		const uart = new Uart({transmit: (byte) => (this.console += String.fromCharCode(byte)), irq() {}});
		const readRom = (offset: number, width: number) =>
			Array.from({length: width}, (_, index) => rom[offset + index]! * 256 ** index).reduce((a, b) => a + b);
		bus.attach('rom', BOOT_ROM_BASE, BOOT_ROM_SIZE, {read: readRom, write() {}}, {executable: true});
		bus.attach('finisher', FINISHER_BASE, FINISHER_SIZE, finisher);
		bus.attach('clint', CLINT_BASE, CLINT_SIZE, clint);
		bus.attach('uart', UART_BASE, UART_SIZE, uart);
	}

	booted(): this {
		this.hart.boot(BOOT_ROM_BASE);
		return this;
	}
}

test('reset runs the firmware to the kernel in S-mode with hart id and device tree', (t) => {
	const board = new Board();
	const {hartId, deviceTreeAddress} = board.hart.boot(BOOT_ROM_BASE);
	t.is(hartId, 0);
	t.is(board.rv.mode, PRV_S);
	t.is(board.rv.pc, BigInt(RAM_BASE + KERNEL_OFFSET));
	t.is(
		board.memory.read32(deviceTreeAddress),
		0xedfe_0dd0,
		'the magic of a flattened device tree, big-endian',
	);
	t.true(board.rv.instret > 100, 'the firmware has really run');
	t.is(board.clock.nowNs, board.rv.cycles());
});

test('loads and stores reach RAM and devices and take an instruction each', (t) => {
	const {hart, clock, memory, rv} = new Board().booted();
	const before = {ns: clock.nowNs, instret: rv.instret};
	hart.store32(FREE, 0x1234_5678);
	hart.store16(FREE + 4, 0xabcd);
	hart.store8(FREE + 6, 0xef);
	t.is(hart.load32(FREE), 0x1234_5678);
	t.is(hart.load16(FREE + 4), 0xabcd);
	t.is(hart.load8(FREE + 6), 0xef);
	t.is(memory.read8(FREE + 6), 0xef);
	t.is(hart.load32(CLINT_BASE + 0x4000), 0xffff_ffff, 'mtimecmp: never');
	t.is(clock.nowNs - before.ns, 7);
	t.is(rv.instret - before.instret, 7);
	hart.fill32(FREE, 4096, 7);
	t.is(clock.nowNs - before.ns, 7 + 512);
	t.deepEqual(hart.loadBytes(FREE + 4092, new Uint8Array(8)), Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0));
	hart.storeBytes(FREE, Uint8Array.of(1, 2, 3));
	t.is(hart.load32(FREE), 0x0003_0201);
});

test('an access that nothing answers is a trap with cause and address', (t) => {
	const {hart} = new Board().booted();
	const load = t.throws(() => hart.load32(0x4000_0000), {instanceOf: GuestTrap}) as GuestTrap;
	t.deepEqual([load.scause, load.stval], [5, 0x4000_0000]);
	const store = t.throws(() => hart.store8(RAM_BASE + RAM_SIZE, 1), {instanceOf: GuestTrap}) as GuestTrap;
	t.deepEqual([store.scause, store.stval], [7, RAM_BASE + RAM_SIZE]);
	const bulk = t.throws(() => hart.fill32(RAM_BASE + RAM_SIZE - 8, 16, 0), {
		instanceOf: GuestTrap,
	}) as GuestTrap;
	t.is(bulk.scause, 7);
});

test('a timer set by SBI comes back as a pending supervisor timer interrupt, at its tick', (t) => {
	const {hart, clock} = new Board().booted();
	hart.setInterruptEnable(1 << IRQ_S_TIMER);
	hart.setTimer(hart.rdtime() + 5_000_000);
	const due = clock.nextDeadlineNs;
	t.is(hart.pendingInterrupts(), 0);
	t.true(hart.wfi());
	t.is(hart.pendingInterrupts(), 1 << IRQ_S_TIMER);
	t.true(clock.nowNs > due && clock.nowNs < due + 1000, 'the firmware needs some instructions to pass it on');
	hart.setTimer(Infinity);
	t.is(hart.pendingInterrupts(), 0, 'setting the timer withdraws it');
	t.false(hart.wfi(), 'and nothing will ever happen');
});

test('the firmware takes the timer between two accesses and in the middle of a long stretch', (t) => {
	const {hart, clock} = new Board().booted();
	hart.setInterruptEnable(1 << IRQ_S_TIMER);
	hart.setTimer(hart.rdtime() + 10);
	const due = clock.nextDeadlineNs;
	let accesses = 0;
	while (hart.pendingInterrupts() === 0) {
		hart.load32(FREE);
		accesses++;
	}
	t.true(accesses > 100 && accesses <= 1000, `${accesses} loads in less than a microsecond`);
	t.true(clock.nowNs < due + 1000);
	hart.setTimer(hart.rdtime() + 10);
	const start = clock.nowNs;
	hart.execute(100_000);
	t.is(hart.pendingInterrupts(), 1 << IRQ_S_TIMER);
	t.true(clock.nowNs - start > 100_000 && clock.nowNs - start < 101_000, 'the stretch and the handler');
});

test('an external interrupt is pending while its line is up and wakes a wfi', (t) => {
	const {hart, clock, rv} = new Board().booted();
	clock.after(1_000_000, () => rv.setInterrupt(INT_SEI, true));
	hart.setInterruptEnable(1 << IRQ_S_EXT);
	t.true(hart.wfi());
	t.is(hart.pendingInterrupts(), 1 << IRQ_S_EXT);
	rv.setInterrupt(INT_SEI, false);
	t.is(hart.pendingInterrupts(), 0);
	clock.after(500, () => hart.wake());
	t.true(hart.wfi());
	t.is(hart.pendingInterrupts(), 0, 'woken, with nothing pending');
});

test('text goes through the firmware to the UART, byte by byte', (t) => {
	const board = new Board().booted();
	const {instret} = board.rv;
	board.hart.consoleWrite('free page \u{20ac}\n');
	t.is(Buffer.from(board.console, 'latin1').toString('utf8').replaceAll('\r', ''), 'free page \u{20ac}\n');
	t.true(board.rv.instret - instret > 14 * 10);
});

test('a reset goes through the firmware to the finisher', (t) => {
	const ends = (['shutdown', 'cold-reboot', 'warm-reboot'] as const).map((type) => {
		const board = new Board().booted();
		board.hart.systemReset(type, false);
		return board.finish;
	});
	t.deepEqual(ends, [{kind: 'pass'}, {kind: 'reset'}, {kind: 'reset'}]);
	const failed = new Board().booted();
	failed.hart.systemReset('shutdown', true);
	t.deepEqual(failed.finish, {kind: 'fail', code: 1});
});

test('an SBI call that there is not comes back with the error of the specification', (t) => {
	const {hart, rv} = new Board().booted();
	t.is(hart.ecall(0x1234_5678, 0).error, -2n, 'SBI_ERR_NOT_SUPPORTED');
	t.deepEqual(hart.ecall(0x10, 0), {error: 0n, value: 0x0200_0000n}, 'BASE get_spec_version: 2.0');
	t.is(rv.mode, PRV_S);
});

test('a firmware that never reaches the kernel is an error that says where it is', (t) => {
	const board = new Board();
	board.memory.writeBytes(RAM_BASE, new Uint8Array(4096)); // illegal instructions, and mtvec is 0
	const error = t.throws(() => board.hart.boot(BOOT_ROM_BASE), {instanceOf: VmsimError}) as VmsimError;
	t.is(error.code, 'FIRMWARE_FAILED');
	t.regex(error.message, /\(stuck\): hart 0: pc 0x0 in M-mode, instruction access fault/);
});
