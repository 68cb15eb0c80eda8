/** Feature bits: VIRTIO 1.4 2.2 and 6. */
import {featureBits} from '../../kit/scripted-driver.js';
import {
	FEATURE_BITS,
	VIRTIO_F_ACCESS_PLATFORM,
	VIRTIO_F_ADMIN_VQ,
	VIRTIO_F_IN_ORDER,
	VIRTIO_F_RING_RESET,
	VIRTIO_F_SR_IOV,
	VIRTIO_F_VERSION_1,
} from '../../virtio/spec.js';
import {VIRTQ_USED_ELEM, usedElemOffset} from '../../virtio/ring-layout.js';
import {VIRTIO_BALLOON_F_MUST_TELL_HOST, VIRTIO_BALLOON_FEATURES} from '../../virtio/balloon/spec.js';
import {check, type Check} from '../check.js';

/** NOTIFY_ON_EMPTY and ANY_LAYOUT. */
const LEGACY = featureBits(24, 27);
/** Bits that mean something to a balloon: its own, those of the queues and the negotiation, and the legacy ones. */
const DEFINED =
	LEGACY |
	featureBits(
		...Object.values(VIRTIO_BALLOON_FEATURES),
		...[28, 29],
		...Array.from({length: 9}, (_, i) => 32 + i),
		43,
	);

/** What a used element is not. */
const UNWRITTEN = 0xffff_ffff;

function bitsOf(features: bigint): number[] {
	return Array.from({length: FEATURE_BITS}, (_, bit) => bit).filter((bit) => (features >> BigInt(bit)) & 1n);
}

function hexWord(word: number): string {
	return word.toString(16).padStart(8, '0');
}

export const FEATURE_CHECKS: readonly Check[] = [
	check('FEAT-01', '2.2', 'layout', {
		text: 'No bit is offered that has no meaning for this device: words without one read 0.',
		done: 'read DeviceFeatures behind selectors 0 to 3',
		run(probe) {
			const words = [0, 1, 2, 3].map((select) => {
				probe.driver.write('DeviceFeaturesSel', select);
				return probe.driver.read('DeviceFeatures');
			});
			words.forEach((word, select) => probe.see(`DeviceFeatures word ${select} 0x${hexWord(word)}`));
			const offered = words.reduceRight((sum, word) => (sum << 32n) | BigInt(word), 0n);
			const unknown = bitsOf(offered & ~DEFINED);
			probe.expect(unknown.length === 0, `bits without a meaning are offered: ${unknown.join(', ')}`);
		},
	}),
	check('FEAT-07.unoffered', '2.2.2', 'MUST', {
		text: 'FEATURES_OK stays clear for a bit that was not offered.',
		done: 'accept each bit that is not offered, one by one: first 23 and 63, then all others below 128',
		async run(probe) {
			const offered = probe.driver.deviceFeatures();
			const bits = [23, 63, ...Array.from({length: 128}, (_, bit) => bit)];
			const missing = bits.filter((bit) => (offered & featureBits(bit)) === 0n);
			for (const bit of missing) {
				const kept = await probe.negotiate((offered & DEFINED) | featureBits(bit));
				if (kept) {
					probe.see(`Status 0x${probe.status.toString(16)} after bit ${bit} was accepted`);
				}
				probe.expect(!kept, `FEATURES_OK with bit ${bit} is set, expected clear`);
			}
			probe.see(`FEATURES_OK is clear with each of ${new Set(missing).size} bits`);
		},
	}),
	check('FEAT-07.subset', '2.2.2', 'SHOULD', {
		text: 'Every valid subset of the offered bits is accepted.',
		done: 'negotiate VERSION_1 alone, with each of the offered bits, with all of them, with all but each',
		async run(probe) {
			// Who speaks VERSION_1 has no use for the legacy bits.
			const offered = probe.driver.deviceFeatures() & DEFINED & ~LEGACY;
			// Whoever offers one of these may refuse a driver without it: 5.5.3.2, 6.2.
			const always =
				offered & featureBits(VIRTIO_BALLOON_F_MUST_TELL_HOST, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM);
			const free = bitsOf(offered & ~always);
			const one = free.map((bit) => always | featureBits(bit));
			const allButOne = free.map((bit) => offered & ~featureBits(bit));
			for (const bits of [always, ...one, offered, ...allButOne]) {
				probe.equal(`FEATURES_OK with 0x${bits.toString(16)}`, await probe.negotiate(bits), true);
			}
		},
	}),
	check('FEAT-08.ring-reset', '2.2.2', 'MUST', {
		text: 'Nothing is offered that the device cannot do on this transport: RING_RESET comes with QueueReset.',
		done: 'negotiate RING_RESET, write 1 to QueueReset of a ready queue',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_RING_RESET]});
			probe.driver.write('QueueSel', 0);
			probe.equal('QueueReady before', probe.driver.read('QueueReady'), 1);
			probe.driver.write('QueueReset', 1);
			await probe.device.settle();
			probe.equal('QueueReset', probe.driver.read('QueueReset'), 0);
			probe.equal('QueueReady', probe.driver.read('QueueReady'), 0);
		},
	}),
	check('FEAT-08.transport', '2.2.2', 'MUST', {
		text: 'Features of another transport are not offered: SR_IOV and ADMIN_VQ do not exist on MMIO.',
		done: 'read DeviceFeatures',
		run(probe) {
			const offered = probe.driver.deviceFeatures() & featureBits(VIRTIO_F_SR_IOV, VIRTIO_F_ADMIN_VQ);
			probe.equal('offered bits of other transports', offered, 0n);
		},
	}),
	check('FEAT-09', '2.2.2', 'SHOULD', {
		text: 'What was accepted once is accepted again after a reset.',
		done: 'initialise three times with the same bits',
		async run(probe) {
			const first = await probe.start();
			for (let round = 2; round <= 3; round++) {
				probe.equal('DeviceFeatures keep the bits', probe.driver.deviceFeatures() & first, first);
				probe.equal(`FEATURES_OK, time ${round}`, await probe.negotiate(first), true);
			}
		},
	}),
	check('FEAT-11', '6.2', 'MUST', {
		text: 'VIRTIO_F_VERSION_1 is offered.',
		done: 'read DeviceFeatures',
		run(probe) {
			const offered = probe.driver.deviceFeatures();
			probe.see(`DeviceFeatures 0x${offered.toString(16)}`);
			probe.expect((offered & featureBits(VIRTIO_F_VERSION_1)) !== 0n, 'bit 32 is not offered');
		},
	}),
	check('FEAT-13', '6.2', 'MUST', {
		text: 'With IN_ORDER buffers are used in the order in which they were made available.',
		done: 'offer three inflate buffers with one kick',
		async run(probe) {
			await probe.start({features: [VIRTIO_F_IN_ORDER]});
			const queue = probe.queue('inflateq');
			const heads = [0, 1, 2].map((page) => queue.chain(probe.pfns(page)));
			// A device may answer for several buffers in one element, that of the last, and leave the slots between (2.7.9).
			const elements = queue.place.used + usedElemOffset(0);
			probe.device.ram.fill32(elements, VIRTQ_USED_ELEM.sizeBytes * heads.length, UNWRITTEN);
			queue.makeAvailable(...heads);
			await probe.kick(queue);
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, heads.length);
			const ids = queue.takeUsed().map(({id}) => id);
			const written = ids.filter((id) => id !== UNWRITTEN);
			// Each element stands in the slot of the first buffer that it answers for.
			let first = 0;
			for (const id of written) {
				probe.expect(
					ids[first] === id && heads.indexOf(id) >= first,
					`elements [${ids.join(', ')}] for heads [${heads.join(', ')}]`,
				);
				first = heads.indexOf(id) + 1;
			}
			probe.equal('buffers answered for', first, heads.length);
		},
	}),
	check('INIT-03', '3.1.1', 'layout', {
		text: 'After FEATURES_OK the choice is closed: a later write of DriverFeatures is without effect.',
		done: 'negotiate without EVENT_IDX, write EVENT_IDX, run the queue with used_event far away',
		async run(probe) {
			await probe.start({quiet: true});
			probe.driver.writeDriverFeatures(featureBits(29, VIRTIO_F_VERSION_1));
			await probe.driverOk();
			probe.queue('inflateq').usedEvent = 0x4000;
			await probe.inflate(0);
			probe.equal('InterruptStatus', probe.interruptStatus & 1, 1);
		},
	}),
];
