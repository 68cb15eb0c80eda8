import test from 'ava';
import {
	PLIC_BASE,
	RAM_BASE,
	UART_BASE,
	VIRTIO_SLOTS,
	virtioBase,
	virtioIrq,
} from '../src/board/memory-map.js';
import {DEFAULT_MACHINE, type MachineConfig} from '../src/config.js';
import {GuestTrap, IRQ_S_EXT, IRQ_S_TIMER} from '../src/cpu-lite/hart.js';
import {BALLOON_SLOT, Machine} from '../src/machine.js';
import {MiB, NS_PER_S} from '../src/units.js';
import {MMIO_REGISTERS, VIRTIO_ID_BALLOON, VIRTIO_MMIO_MAGIC} from '../src/virtio/spec.js';

function config(changes: Partial<MachineConfig> = {}): MachineConfig {
	return {...structuredClone(DEFAULT_MACHINE), guestMemBytes: 64 * MiB, ...changes};
}

test('the hart finds the balloon in its slot and nothing in the others', async (t) => {
	const {supervisor: hart} = (await Machine.create(config())).enterSupervisor();
	for (let slot = 0; slot < VIRTIO_SLOTS; slot++) {
		const base = virtioBase(slot);
		t.is(hart.load32(base + MMIO_REGISTERS.MagicValue.at), VIRTIO_MMIO_MAGIC);
		t.is(hart.load32(base + MMIO_REGISTERS.Version.at), 2);
		t.is(hart.load32(base + MMIO_REGISTERS.DeviceID.at), slot === BALLOON_SLOT ? VIRTIO_ID_BALLOON : 0);
	}
});

test('an access that nothing answers is an access fault with its address', async (t) => {
	const {supervisor: hart} = (await Machine.create(config())).enterSupervisor();
	t.like(
		t.throws(() => hart.load32(0x5000_0000), {instanceOf: GuestTrap}),
		{scause: 5, stval: 0x5000_0000},
	);
	t.like(
		t.throws(() => hart.store8(RAM_BASE + 64 * MiB, 1), {instanceOf: GuestTrap}),
		{scause: 7},
	);
	t.like(
		t.throws(() => hart.loadBytes(RAM_BASE - 4, new Uint8Array(8)), {instanceOf: GuestTrap}),
		{scause: 5},
	);
});

test('a timer wakes the hart at its tick, and idle time is skipped', async (t) => {
	const machine = await Machine.create(config());
	const {clock} = machine;
	const {supervisor: hart} = machine.enterSupervisor();
	hart.setInterruptEnable(1 << IRQ_S_TIMER);
	hart.setTimer(2 * hart.timebaseHz);
	t.true(hart.wfi());
	t.true(
		clock.nowNs >= 2 * NS_PER_S && clock.nowNs < 2 * NS_PER_S + 10_000,
		'and the firmware has passed it on',
	);
	t.is(hart.pendingInterrupts(), 1 << IRQ_S_TIMER);
	hart.setTimer(Infinity);
	t.is(hart.pendingInterrupts(), 0);
	t.false(hart.wfi(), 'nothing can ever happen');
});

test('a change of the balloon target reaches the supervisor through the PLIC', async (t) => {
	const machine = await Machine.create(config());
	const {balloon} = machine;
	const {supervisor: hart} = machine.enterSupervisor();
	const base = virtioBase(BALLOON_SLOT);
	const irq = virtioIrq(BALLOON_SLOT);
	hart.setInterruptEnable(1 << IRQ_S_EXT);
	hart.store32(PLIC_BASE + 4 * irq, 1);
	hart.store32(PLIC_BASE + 0x2080, 1 << irq);
	for (const status of [1, 3]) {
		hart.store32(base + MMIO_REGISTERS.Status.at, status);
	}
	hart.store32(base + MMIO_REGISTERS.DriverFeaturesSel.at, 1);
	hart.store32(base + MMIO_REGISTERS.DriverFeatures.at, 1);
	for (const status of [0xb, 0xf]) {
		hart.store32(base + MMIO_REGISTERS.Status.at, status);
	}
	balloon.setTargetBytes(MiB);
	t.is(hart.pendingInterrupts(), 1 << IRQ_S_EXT);
	t.is(hart.load32(PLIC_BASE + 0x20_1004), irq);
	t.is(hart.load32(base + MMIO_REGISTERS.InterruptStatus.at), 2);
	hart.store32(base + MMIO_REGISTERS.InterruptACK.at, 2);
	hart.store32(PLIC_BASE + 0x20_1004, irq);
	t.is(hart.pendingInterrupts(), 0);
});

test('what the guest prints comes out, by UART and by SBI; two machines do not share it', async (t) => {
	const texts = ['', ''];
	const machines = await Promise.all(
		[0, 1].map((n) =>
			Machine.create(config(), {transmit: (byte) => (texts[n] += String.fromCharCode(byte))}),
		),
	);
	const harts = machines.map((machine) => machine.enterSupervisor().supervisor);
	harts[0]!.store8(UART_BASE, 0x41);
	harts[1]!.consoleWrite('B');
	t.deepEqual(texts, ['A', 'B']);
	harts[0]!.systemReset('shutdown', false);
	t.deepEqual(machines[0]!.finish, {kind: 'pass'});
	t.is(machines[1]!.finish, undefined);
});

test('the device tree lies in guest memory as real FDT bytes', async (t) => {
	const {supervisor, arguments: boot} = (await Machine.create(config())).enterSupervisor();
	t.is(boot.hartId, 0);
	const header = supervisor.loadBytes(boot.deviceTreeAddress, new Uint8Array(8));
	t.is(Buffer.from(header).readUInt32BE(0), 0xd00d_feed);
});
