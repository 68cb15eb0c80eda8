/** The traditional memory balloon's queues: VIRTIO 1.4 5.5.6. */
import {readable, writable, type Buffer} from '../../kit/scripted-driver.js';
import {PAGE_SIZE} from '../../units.js';
import {
	VIRTIO_BALLOON_CMD_ID_DONE,
	VIRTIO_BALLOON_CMD_ID_MIN,
	VIRTIO_BALLOON_CMD_ID_STOP,
	VIRTIO_BALLOON_CONFIG,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_PAGE_REPORTING,
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_S,
	type BalloonQueueName,
} from '../../virtio/balloon/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

const CMD_ID = VIRTIO_BALLOON_CONFIG.free_page_hint_cmd_id.at;
/** With MUST_TELL_HOST the device may change a page for as long as it is in the balloon. */
const AT_ONCE = {without: [VIRTIO_BALLOON_F_MUST_TELL_HOST]};
const UNKNOWN_TAG = 0x77;
const POISON = 0xaaaa_aaaa;

/** Packed {le16 tag, le64 val} entries, and `tail` bytes of another one. */
function statistics(
	probe: Probe,
	entries: readonly (readonly [tag: number, value: number])[],
	tail = 0,
): Buffer {
	const view = new DataView(new ArrayBuffer(10 * entries.length + tail));
	entries.forEach(([tag, value], at) => {
		view.setUint16(10 * at, tag, true);
		view.setBigUint64(10 * at + 2, BigInt(value), true);
	});
	return probe.bytes(...new Uint8Array(view.buffer));
}

/** What the host learns from a buffer of statistics. */
async function learned(probe: Probe, buffer: Buffer): Promise<ReadonlyMap<number, bigint>> {
	await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
	return sendStatistics(probe, buffer);
}

async function sendStatistics(probe: Probe, ...buffers: Buffer[]): Promise<ReadonlyMap<number, bigint>> {
	await probe.send(probe.queue('statsq'), ...buffers);
	await probe.device.host.requestStats?.();
	await probe.device.settle();
	const map = await probe.ask('stats');
	buffers.forEach(({addr, len}) => probe.seeBytes('buffer', Number(addr), len));
	probe.see(`host: ${Array.from(map ?? [], ([tag, value]) => `${tag}=${value}`).join(' ') || 'nothing'}`);
	return map ?? probe.inconclusive('the host has no statistics');
}

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

/** Starts a device and a round of hints; returns the id that the device asks for. */
async function startRound(probe: Probe): Promise<number> {
	await probe.start({features: [VIRTIO_BALLOON_F_FREE_PAGE_HINT]});
	await probe.ask('startHinting');
	const asked = probe.driver.readConfig(CMD_ID);
	probe.see(`cmd_id 0x${asked.toString(16)}`);
	return asked;
}

/** Starts a round of hints and sends `id`, a page, and returns the id that the device asked for. */
async function hint(probe: Probe, id: (asked: number) => number): Promise<number> {
	const asked = await startRound(probe);
	probe.fill(0, 1);
	const queue = probe.queue('free_page_vq');
	await probe.send(queue, readable(probe.driver.allocWords([id(asked)]), 4));
	await probe.send(queue, writable(probe.page(0), PAGE_SIZE));
	return asked;
}

/** Writes page 0, and fails if a second and a kick later it does not hold what was written. */
async function expectSettled(probe: Probe, name: BalloonQueueName, why: string): Promise<void> {
	probe.fill(0, 1);
	await probe.device.advance(1e9);
	await probe.kick(probe.queue(name));
	probe.expectKept(why, 0);
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
			await expectSettled(probe, 'inflateq', 'written after the acknowledgement');
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
			await expectSettled(probe, 'deflateq', 'written after the deflate was acknowledged');
		},
	}),
	check('BAL-39.token', '5.5.6.3', 'layout', {
		text: 'The device keeps the statistics buffer until it wants new statistics.',
		done: 'offer a statistics buffer, read the used index',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			await probe.send(queue, statistics(probe, [[VIRTIO_BALLOON_S.MEMFREE, 1]]));
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, 0);
		},
	}),
	check('BAL-39.request', '5.5.6.3', 'layout', {
		text: 'The device asks for statistics by using the buffer.',
		done: 'offer a statistics buffer, ask for statistics',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			const head = await probe.send(queue, statistics(probe, [[VIRTIO_BALLOON_S.MEMFREE, 1]]));
			await probe.ask('requestStats');
			probe.expectUsed(queue, head);
			probe.equal('InterruptStatus', probe.interruptStatus & 1, 1);
		},
	}),
	check('BAL-39.round', '5.5.6.3', 'layout', {
		text: 'Every further buffer of statistics is read, kept and used like the first.',
		done: 'three times: offer a statistics buffer with another value, read the used index, ask for statistics',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const queue = probe.queue('statsq');
			for (const value of [1, 2, 3]) {
				const head = await probe.send(queue, statistics(probe, [[VIRTIO_BALLOON_S.MEMFREE, value]]));
				probe.equal('used idx', queue.usedIdx, value - 1);
				await probe.ask('requestStats');
				probe.expectUsed(queue, head);
				const stats = probe.device.host.stats ? await probe.ask('stats') : undefined;
				probe.equal('MEMFREE', stats?.get(VIRTIO_BALLOON_S.MEMFREE) ?? BigInt(value), BigInt(value));
			}
		},
	}),
	check('SPLIT-05.stats', '2.7.4.1', 'MUST', {
		text: 'The device assumes nothing about how statistics are cut into descriptors.',
		done: 'send two entries in buffers of 3, 12 and 5 bytes',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_STATS_VQ]});
			const {addr} = statistics(probe, [
				[VIRTIO_BALLOON_S.MEMFREE, 0x0102_0304_0506],
				[VIRTIO_BALLOON_S.MEMTOT, 0x0a0b_0c0d_0e0f],
			]);
			const at = Number(addr);
			const stats = await sendStatistics(probe, readable(at, 3), readable(at + 3, 12), readable(at + 15, 5));
			probe.equal('MEMFREE', stats.get(VIRTIO_BALLOON_S.MEMFREE) ?? 'nothing', 0x0102_0304_0506n);
			probe.equal('MEMTOT', stats.get(VIRTIO_BALLOON_S.MEMTOT) ?? 'nothing', 0x0a0b_0c0d_0e0fn);
		},
	}),
	check('BAL-36', '5.5.6.3.2', 'MUST', {
		text: 'An unknown statistics tag is ignored.',
		done: `send tag 0x${UNKNOWN_TAG.toString(16)} before MEMFREE`,
		async run(probe) {
			const stats = await learned(
				probe,
				statistics(probe, [
					[UNKNOWN_TAG, 7],
					[VIRTIO_BALLOON_S.MEMFREE, 0x1234_5678_9abc],
				]),
			);
			probe.equal('MEMFREE', stats.get(VIRTIO_BALLOON_S.MEMFREE) ?? 'nothing', 0x1234_5678_9abcn);
			probe.equal('the unknown tag', stats.get(UNKNOWN_TAG) ?? 'nothing', 'nothing');
		},
	}),
	check('BAL-37', '5.5.6.3.2', 'MUST', {
		text: 'Statistics are accepted in any order.',
		done: 'send MEMTOT, SWAP_IN, MEMFREE',
		async run(probe) {
			const sent = [
				[VIRTIO_BALLOON_S.MEMTOT, 3],
				[VIRTIO_BALLOON_S.SWAP_IN, 1],
				[VIRTIO_BALLOON_S.MEMFREE, 2],
			] as const;
			const stats = await learned(probe, statistics(probe, sent));
			for (const [tag, value] of sent) {
				probe.equal(`tag ${tag}`, stats.get(tag) ?? 'nothing', BigInt(value));
			}
		},
	}),
	check('BAL-33', '5.5.6.3.1', 'layout', {
		text: 'An entry that is cut off at the end of the buffer does not spoil the others.',
		done: 'send one entry and seven bytes of another',
		async run(probe) {
			const stats = await learned(probe, statistics(probe, [[VIRTIO_BALLOON_S.MEMFREE, 5]], 7));
			probe.equal('MEMFREE', stats.get(VIRTIO_BALLOON_S.MEMFREE) ?? 'nothing', 5n);
		},
	}),
	check('BAL-40', '5.5.6.5', 'layout', {
		text: 'The command id of a round is 2 or more.',
		done: 'start a round of hints, read the command id',
		async run(probe) {
			const asked = await hint(probe, (id) => id);
			probe.expect(asked >= VIRTIO_BALLOON_CMD_ID_MIN, `the command id is ${asked}`);
		},
	}),
	check('BAL-49', '5.5.6.5.2', 'MUST', {
		text: 'A command id is not used again before a STOP has come.',
		done: 'start three rounds without sending STOP',
		async run(probe) {
			const ids = [await hint(probe, (id) => id)];
			for (let round = 0; round < 2; round++) {
				await probe.ask('startHinting');
				ids.push(probe.driver.readConfig(CMD_ID));
			}
			probe.see(`ids ${ids.map((id) => id.toString(16)).join(' ')}`);
			probe.expect(new Set(ids).size === ids.length, 'a command id came twice');
		},
	}),
	check('BAL-50', '5.5.6.5.2', 'MUST', {
		text: 'Pages sent under an id that is not the current one are ignored.',
		done: 'answer a round of hints with another id and a page',
		async run(probe) {
			await hint(probe, (id) => id + 1000);
			probe.expectKept('hinted under a stale id', 0);
		},
	}),
	check('BAL-50.used', '5.5.6.5', 'layout', {
		text: 'Buffers of hints come back.',
		done: 'send the id, a page and STOP',
		async run(probe) {
			await hint(probe, (id) => id);
			const queue = probe.queue('free_page_vq');
			await probe.send(queue, readable(probe.driver.allocWords([VIRTIO_BALLOON_CMD_ID_STOP]), 4));
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, 3);
		},
	}),
	check('BAL-48', '5.5.6.5.2', 'SHOULD', {
		text: 'When hints can no longer be used the command id becomes STOP.',
		done: 'start a round of hints, stop it at the host',
		async run(probe) {
			await hint(probe, (id) => id);
			await probe.ask('stopHinting');
			probe.equal('cmd_id', probe.driver.readConfig(CMD_ID), VIRTIO_BALLOON_CMD_ID_STOP);
		},
	}),
	check('BAL-53', '5.5.6.5.2', 'MUST', {
		text: 'When hints are no longer needed the command id becomes DONE.',
		done: 'run a round of hints, end it at the host',
		async run(probe) {
			await hint(probe, (id) => id);
			await probe.ask('doneHinting');
			probe.equal('cmd_id', probe.driver.readConfig(CMD_ID), VIRTIO_BALLOON_CMD_ID_DONE);
		},
	}),
	check('BAL-52', '5.5.6.5.2', 'MUST', {
		text: 'A hinted page is not changed after DONE.',
		done: 'hint a page, end the round, write the page, kick again',
		async run(probe) {
			await hint(probe, (id) => id);
			await probe.ask('doneHinting');
			await expectSettled(probe, 'free_page_vq', 'written after DONE');
		},
	}),
	check('BAL-51', '5.5.6.5.2', 'MUST', {
		text: 'A hinted page that the guest has written since the id was issued keeps what was written.',
		done: 'hint a page that was written under the current id, before and after it is offered',
		async run(probe) {
			await hint(probe, (id) => id);
			probe.expectKept('written since the id was issued', 0);
			probe.fill(0, 1);
			await probe.kick(probe.queue('free_page_vq'));
			probe.expectKept('written again', 0);
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
			await expectSettled(probe, 'reporting_vq', 'written after the acknowledgement');
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
