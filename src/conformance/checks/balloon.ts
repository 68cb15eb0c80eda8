/** The traditional memory balloon's queues: VIRTIO 1.4 5.5.6. */
import {writable, type Buffer} from '../../kit/scripted-driver.js';
import {PAGE_SIZE} from '../../units.js';
import {
	VIRTIO_BALLOON_CONFIG,
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_PAGE_REPORTING,
	type BalloonQueueName,
} from '../../virtio/balloon/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

/** With MUST_TELL_HOST the device may change a page for as long as it is in the balloon. */
const AT_ONCE = {without: [VIRTIO_BALLOON_F_MUST_TELL_HOST]};
const POISON = 0xaaaa_aaaa;

/** Discards and writes to the used index while `act` runs: all of the former must come first. */
async function expectDiscardFirst(probe: Probe, name: BalloonQueueName, buffer: Buffer): Promise<void> {
	const queue = probe.queue(name);
	const stop = probe.watch();
	await probe.send(queue, buffer);
	const accesses = stop();
	const index = queue.place.used + 2;
	const moved = accesses.findIndex(
		({kind, address, sizeBytes}) => kind === 'write' && address <= index && index < address + sizeBytes,
	);
	const discards = accesses.filter(({kind}) => kind === 'discard').length;
	const late = accesses
		.slice(moved)
		.filter(({kind, address}) => kind === 'discard' || (kind === 'write' && address >= probe.page(0)));
	probe.see(`${discards} discards; used idx written as access ${moved} of ${accesses.length}`);
	probe.expect(moved >= 0, 'the chain did not come back');
	probe.expect(late.length === 0, `${late.length} pages were changed after the used index had moved`);
}

function expectKeptOrZero(probe: Probe, page: number): void {
	const state = probe.pageState(page);
	probe.see(`page ${page} ${state}`);
	probe.expect(state !== 'changed', `page ${page} was given up and holds neither its old contents nor zeros`);
}

export const BALLOON_CHECKS: readonly Check[] = [
	check('BAL-07', '5.5.6', 'layout', {
		text: 'A frame number is the address divided by 4096: only the pages that are named are given up.',
		done: 'inflate pages 1 and 3 of five',
		async run(probe) {
			await probe.start();
			probe.fill(0, 5);
			const head = await probe.inflate(1, 3);
			probe.expectUsed(probe.queue('inflateq'), head);
			expectKeptOrZero(probe, 1);
			expectKeptOrZero(probe, 3);
			probe.expectKept('not named', 0, 2, 4);
		},
	}),
	check('BAL-20', '5.5.6.2', 'MUST', {
		text: 'A page that is inflated is changed before the buffer is acknowledged, and not after.',
		done: 'inflate four pages without MUST_TELL_HOST and watch discards and the used index',
		async run(probe) {
			await probe.start(AT_ONCE);
			await expectDiscardFirst(probe, 'inflateq', probe.pfns(0, 1, 2, 3));
		},
	}),
	check('BAL-20.settled', '5.5.6.2', 'MUST', {
		text: 'A page that was acknowledged as inflated and is written again keeps what was written.',
		done: 'inflate a page without MUST_TELL_HOST, write it, let a second pass',
		async run(probe) {
			await probe.start(AT_ONCE);
			await probe.inflate(0);
			await probe.expectSettled('inflateq', 'written after the acknowledgement');
		},
	}),
	check('BAL-14', '5.5.6.1', 'layout', {
		text: 'A deflate is acknowledged.',
		done: 'inflate a page, deflate it',
		async run(probe) {
			await probe.start();
			await probe.inflate(0);
			const queue = probe.queue('deflateq');
			const head = await probe.send(queue, probe.pfns(0));
			probe.expectUsed(queue, head);
		},
	}),
	check('BAL-21', '5.5.6.2', 'MUST', {
		text: 'A page that is not in the balloon keeps its contents, also if it is deflated.',
		done: 'deflate a page that was never inflated',
		async run(probe) {
			await probe.start();
			probe.fill(0, 2);
			await probe.send(probe.queue('deflateq'), probe.pfns(0));
			probe.expectKept('deflated, never inflated', 0);
			probe.expectKept('never named', 1);
		},
	}),
	check('BAL-21.settled', '5.5.6.2', 'MUST', {
		text: 'With MUST_TELL_HOST a page whose deflate was acknowledged keeps what is written to it.',
		done: 'inflate a page, deflate it, write it, let a second pass',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_MUST_TELL_HOST]});
			await probe.inflate(0);
			await probe.send(probe.queue('deflateq'), probe.pfns(0));
			await probe.expectSettled('deflateq', 'written after the deflate was acknowledged');
		},
	}),
	check('BAL-74', '5.5.6.7.2', 'MUST', {
		text: 'A reported page is changed before the report is acknowledged, and not after.',
		done: 'report 64 KiB and watch discards and the used index',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_REPORTING]});
			await expectDiscardFirst(probe, 'reporting_vq', writable(probe.page(0), 16 * PAGE_SIZE));
		},
	}),
	check('BAL-74.settled', '5.5.6.7.2', 'MUST', {
		text: 'A reported page that was acknowledged and is written again keeps what was written.',
		done: 'report a page, write it, let a second pass',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_REPORTING]});
			await probe.send(probe.queue('reporting_vq'), writable(probe.page(0), PAGE_SIZE));
			await probe.expectSettled('reporting_vq', 'written after the acknowledgement');
		},
	}),
	check('BAL-76.partial', '5.5.6.7.2', 'MUST', {
		text: 'Nothing outside a reported range is changed, whatever it begins and ends with.',
		done: 'report 4096 bytes from the middle of page 1, and 100 bytes more than page 4',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_REPORTING]});
			probe.fill(0, 7);
			const queue = probe.queue('reporting_vq');
			const half = PAGE_SIZE / 2;
			await probe.send(queue, writable(probe.page(1) + half, PAGE_SIZE));
			await probe.send(queue, writable(probe.page(4), PAGE_SIZE + 100));
			probe.seeUsed(queue);
			probe.expectKept('not reported', 0, 3, 6);
			probe.expectFilled('page 1 before the range', probe.page(1), half);
			probe.expectFilled('page 2 behind the range', probe.page(2) + half, half);
			probe.expectFilled('page 5 behind the range', probe.page(5) + 100, PAGE_SIZE - 100);
		},
	}),
	check('BAL-76', '5.5.6.7', 'layout', {
		text: 'A report is acknowledged, and no page is touched that was not in it.',
		done: 'report pages 1 and 3 to 4 of six in one chain',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_REPORTING]});
			probe.fill(0, 6);
			const queue = probe.queue('reporting_vq');
			const head = await probe.send(
				queue,
				writable(probe.page(1), PAGE_SIZE),
				writable(probe.page(3), 2 * PAGE_SIZE),
			);
			probe.expectUsed(queue, head);
			[1, 3, 4].forEach((page) => expectKeptOrZero(probe, page));
			probe.expectKept('not reported', 0, 2, 5);
		},
	}),
	check('BAL-75', '5.5.6.7.2', 'MUST', {
		text: 'With PAGE_POISON a reported page changes to nothing but poison_val.',
		done: `set poison_val to 0x${POISON.toString(16)}, report a page that is filled with it`,
		async run(probe) {
			await probe.start({
				features: [VIRTIO_BALLOON_F_PAGE_REPORTING, VIRTIO_BALLOON_F_PAGE_POISON],
				quiet: true,
			});
			probe.driver.writeConfig(VIRTIO_BALLOON_CONFIG.poison_val.at, POISON);
			await probe.driverOk();
			probe.device.ram.fill32(probe.page(0), PAGE_SIZE, POISON);
			const queue = probe.queue('reporting_vq');
			const head = await probe.send(queue, writable(probe.page(0), PAGE_SIZE));
			probe.expectUsed(queue, head);
			probe.seeBytes('page', probe.page(0), 8);
			const bytes = probe.device.ram.readBytes(probe.page(0), new Uint8Array(PAGE_SIZE));
			probe.expect(
				bytes.every((byte) => byte === (POISON & 0xff)),
				'the page lost its poison',
			);
		},
	}),
];
