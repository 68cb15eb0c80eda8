/**
 * Use 3: the device in a test, through real rings in real guest memory. One page is inflated; what counts is the order:
 * the host has discarded the page before the used index moves.
 *
 *     node dist/examples/test-a-device.js
 */
import assert from 'node:assert/strict';
import {
	DeviceStatus,
	GuestMemory,
	HostMemory,
	MMIO_REGISTERS,
	MiB,
	NO_TRACE,
	PAGE_SIZE,
	RAM_BASE,
	VIRTQ_USED,
	VirtioBalloon,
	VirtioMmioTransport,
	type MmioRegisterName,
} from 'vmsim';

const memory = new GuestMemory({
	base: RAM_BASE,
	sizeBytes: 16 * MiB,
	host: new HostMemory({limitBytes: 32 * MiB}),
});
const desc = RAM_BASE;
const avail = RAM_BASE + PAGE_SIZE;
const used = RAM_BASE + 2 * PAGE_SIZE;
const message = RAM_BASE + 3 * PAGE_SIZE;
const page = RAM_BASE + 4 * MiB;

const order: string[] = [];
const discard = memory.discard.bind(memory);
memory.discard = (base, sizeBytes) => {
	order.push(`discard, used idx ${memory.read16(used + VIRTQ_USED.fields.idx.at)}`);
	return discard(base, sizeBytes);
};

const transport = new VirtioMmioTransport({
	slot: 0,
	device: new VirtioBalloon(),
	ram: memory,
	setInterrupt: (level) =>
		level && order.push(`interrupt, used idx ${memory.read16(used + VIRTQ_USED.fields.idx.at)}`),
	defer: (run) => run(),
	trace: NO_TRACE,
});
const write = (register: MmioRegisterName, value: number) =>
	transport.write(MMIO_REGISTERS[register].at, 4, value);

// VIRTIO 1.4 3.1.1: acknowledge, negotiate VERSION_1, set up queue 0 (inflate), DRIVER_OK.
write('Status', DeviceStatus.ACKNOWLEDGE);
write('Status', DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER);
write('DriverFeaturesSel', 1);
write('DriverFeatures', 1);
write('Status', DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER | DeviceStatus.FEATURES_OK);
write('QueueSel', 0);
write('QueueSize', 8);
write('QueueDescLow', desc);
write('QueueDriverLow', avail);
write('QueueDeviceLow', used);
write('QueueReady', 1);
write(
	'Status',
	DeviceStatus.ACKNOWLEDGE | DeviceStatus.DRIVER | DeviceStatus.FEATURES_OK | DeviceStatus.DRIVER_OK,
);

// A page with something in it, its PFN in a message, the message in descriptor 0, the descriptor in the ring.
memory.fill32(page, PAGE_SIZE, 0xabab_abab);
memory.write32(message, page / PAGE_SIZE);
memory.write32(desc, message);
memory.write32(desc + 8, 4);
memory.write16(avail + 2, 1);
write('QueueNotify', 0);

assert.deepEqual(order, ['discard, used idx 0', 'interrupt, used idx 1']);
assert.equal(memory.read32(page), 0, 'the page reads zero');
console.log(order.join('\n'));
console.log('the page reads zero, and the guest was told after it did');
