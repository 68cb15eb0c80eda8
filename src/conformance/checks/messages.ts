/**
 * Messages as long as those of a real driver: Linux puts 256 frame numbers into one, and reports blocks of 2 or 4 MiB,
 * up to 32 in a chain. The pages are scattered, and each has a neighbour that must stay: VIRTIO 1.4 5.5.6.
 */
import {writable, type Buffer} from '../../kit/scripted-driver.js';
import {PAGE_SIZE} from '../../units.js';
import {VIRTIO_BALLOON_F_MUST_TELL_HOST, VIRTIO_BALLOON_F_PAGE_REPORTING} from '../../virtio/balloon/spec.js';
import {VIRTQ_USED_ELEM, usedElemOffset} from '../../virtio/ring-layout.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

/** Of Linux (VIRTIO_BALLOON_ARRAY_PFNS_MAX), and four times that. */
const LENGTHS = [256, 1024];
/** Odd, so that every page below a power of two is named once, and no two neighbours one after the other. */
const STRIDE = 613;
const AT_ONCE = {without: [VIRTIO_BALLOON_F_MUST_TELL_HOST]};
const REPORTING = {features: [VIRTIO_BALLOON_F_PAGE_REPORTING]};
/** Bits that a frame number has above those of memory's own: 4 GiB more with the first, a negative number with the last. */
const ALIAS_BITS = [20, 21, 22, 24, 28, 31];

/** Two pages of each three, in a scattered order: the third is a neighbour on both sides. */
function scattered(count: number): number[] {
	return Array.from({length: count}, (_, at) => {
		const index = (at * STRIDE) % count;
		return 3 * Math.floor(index / 2) + 1 + (index % 2);
	});
}

/** Fails unless the named pages are as they were or zero, and all others below the end as they were. */
function expectOnlyNamed(
	probe: Probe,
	what: string,
	first: number,
	end: number,
	named: readonly number[],
): void {
	const mayChange = new Set(named);
	const wrong: string[] = [];
	let zero = 0;
	for (let page = first; page < end; page++) {
		const state = probe.pageState(page);
		zero += state === 'zero' ? 1 : 0;
		if (state === 'changed' || (state === 'zero' && !mayChange.has(page))) {
			wrong.push(`page ${page} (${mayChange.has(page) ? 'named' : 'not named'}) is ${state}`);
		}
	}
	probe.see(`${what}: ${named.length} pages named, ${zero} are zero, ${wrong.length} are wrong`);
	probe.expect(wrong.length === 0, `${what}: ${wrong.slice(0, 3).join(', ')}; ${wrong.length} in all`);
}

/** Sends chains with one kick, and fails if a page of one of them is changed when the used ring has it already. */
async function expectDiscardFirst(
	probe: Probe,
	name: 'inflateq' | 'reporting_vq',
	chains: readonly {buffers: readonly Buffer[]; pages: readonly number[]}[],
): Promise<void> {
	const queue = probe.queue(name);
	const heads = chains.map(({buffers}) => queue.chain(...buffers));
	const chainOf = new Map(chains.flatMap(({pages}, at) => pages.map((page) => [page, heads[at]!] as const)));
	const back = new Set<number>();
	let discards = 0;
	let late = 0;
	let taken = queue.usedIdx;
	const noteUsed = (): void => {
		for (; taken !== queue.usedIdx; taken = (taken + 1) & 0xffff) {
			const element = queue.place.used + usedElemOffset(taken % queue.size);
			back.add(probe.device.ram.read32(element + VIRTQ_USED_ELEM.fields.id.at));
		}
	};
	const stop = probe.watch(({kind, address, sizeBytes}) => {
		if (kind === 'read') {
			return;
		}
		noteUsed();
		const first = Math.floor((address - probe.page(0)) / PAGE_SIZE);
		const end = Math.ceil((address + sizeBytes - probe.page(0)) / PAGE_SIZE);
		discards += kind === 'discard' ? 1 : 0;
		for (let page = Math.max(first, 0); page < end; page++) {
			late += back.has(chainOf.get(page) ?? -1) ? 1 : 0;
		}
	});
	queue.makeAvailable(...heads);
	await probe.kick(queue);
	await probe.device.advance(1e9);
	stop();
	probe.see(
		`${chains.length} chains of ${chainOf.size} pages: ${back.size} came back, ${discards} discards, ${late} late`,
	);
	probe.expect(back.size === heads.length, `${back.size} of ${heads.length} chains came back`);
	probe.expect(late === 0, `${late} pages were changed when their chain was in the used ring`);
	queue.takeUsed();
}

/** Pages of a report in pieces, each with a page that is not in it on both sides: first page and number of pages. */
const PIECES: readonly (readonly [first: number, count: number])[] = [
	[1, 16],
	[18, 1],
	[20, 32],
	[512, 512],
	[1025, 3],
	[1029, 128],
];

function reportOf(probe: Probe, pieces: typeof PIECES): {buffers: Buffer[]; pages: number[]} {
	return {
		buffers: pieces.map(([first, count]) => writable(probe.page(first), count * PAGE_SIZE)),
		pages: pieces.flatMap(([first, count]) => Array.from({length: count}, (_, page) => first + page)),
	};
}

export const MESSAGE_CHECKS: readonly Check[] = [
	check('BAL-07.message', '5.5.6', 'layout', {
		text: 'Of a long message, too, each page that is named is given up, and no other.',
		done: `inflate ${LENGTHS.join(', then ')} scattered pages in one buffer`,
		async run(probe) {
			await probe.start();
			for (const count of LENGTHS) {
				const pages = scattered(count);
				const end = Math.max(...pages) + 2;
				probe.fill(0, end);
				const head = await probe.inflate(...pages);
				probe.expectUsed(probe.queue('inflateq'), head);
				expectOnlyNamed(probe, `inflate of ${count}`, 0, end, pages);
			}
		},
	}),
	check('BAL-07.wide', '5.5.6', 'layout', {
		text: 'A frame number has 32 bits: what is above memory is no page of it.',
		done: `inflate a page's frame number with bit ${ALIAS_BITS.join(', ')} set, which memory does not have`,
		async run(probe) {
			await probe.start();
			probe.fill(0, ALIAS_BITS.length);
			const frames = ALIAS_BITS.flatMap((bit, page) => {
				const frame = probe.page(page) / PAGE_SIZE + 2 ** bit;
				return frame < 2 ** 32 && !probe.device.ram.contains(frame * PAGE_SIZE, PAGE_SIZE) ? [frame] : [];
			});
			const addr = probe.driver.allocWords(frames);
			await probe.send(probe.queue('inflateq'), {addr, len: 4 * frames.length, write: false});
			probe.seeBytes('frame numbers', addr, 4 * frames.length);
			probe.expectKept('another page was named', ...ALIAS_BITS.keys());
		},
	}),
	check('BAL-20.message', '5.5.6.2', 'MUST', {
		text: 'The pages of a long message are changed before the buffer is acknowledged, and not after.',
		done: `inflate ${LENGTHS.join(', then ')} scattered pages without MUST_TELL_HOST; watch discards and the used ring`,
		async run(probe) {
			await probe.start(AT_ONCE);
			for (const count of LENGTHS) {
				const pages = scattered(count);
				await expectDiscardFirst(probe, 'inflateq', [{buffers: [probe.pfns(...pages)], pages}]);
			}
		},
	}),
	check('BAL-20.batch', '5.5.6.2', 'MUST', {
		text: 'The pages of each buffer of a batch are changed before that buffer is acknowledged, and not after.',
		done: 'inflate four messages of 64 pages with one kick, without MUST_TELL_HOST; watch discards and the used ring',
		async run(probe) {
			await probe.start(AT_ONCE);
			const pages = scattered(256);
			const chains = [0, 64, 128, 192].map((at) => {
				const part = pages.slice(at, at + 64);
				return {buffers: [probe.pfns(...part)], pages: part};
			});
			await expectDiscardFirst(probe, 'inflateq', chains);
		},
	}),
	check('BAL-21.message', '5.5.6.2', 'MUST', {
		text: 'Pages that are not in the balloon keep their contents, also if a long message deflates them.',
		done: `deflate ${LENGTHS.join(', then ')} scattered pages that were never inflated`,
		async run(probe) {
			await probe.start();
			const queue = probe.queue('deflateq');
			for (const count of LENGTHS) {
				const pages = scattered(count);
				const end = Math.max(...pages) + 2;
				probe.fill(0, end);
				const head = await probe.send(queue, probe.pfns(...pages));
				probe.expectUsed(queue, head);
				expectOnlyNamed(probe, `deflate of ${count}`, 0, end, []);
			}
		},
	}),
	check('BAL-74.message', '5.5.6.7.2', 'MUST', {
		text: 'The pages of all buffers of a report are changed before it is acknowledged, and not after.',
		done: `report ${PIECES.length} ranges of 4 KiB to 2 MiB in one chain; watch discards and the used ring`,
		async run(probe) {
			await probe.start(REPORTING);
			await expectDiscardFirst(probe, 'reporting_vq', [reportOf(probe, PIECES)]);
		},
	}),
	check('BAL-76.message', '5.5.6.7', 'layout', {
		text: 'Of reports as a driver sends them no page beside the ranges is touched.',
		done: 'report 64 KiB, 2 MiB, 4 MiB, then six ranges of 4 KiB to 2 MiB in one chain, each between pages that stay',
		async run(probe) {
			await probe.start(REPORTING);
			const queue = probe.queue('reporting_vq');
			for (const pieces of [[PIECES[0]!], [PIECES[3]!], [[512, 1024] as const], PIECES]) {
				const {buffers, pages} = reportOf(probe, pieces);
				const first = Math.min(...pages) - 1;
				const end = Math.max(...pages) + 2;
				probe.fill(first, end - first);
				const head = await probe.send(queue, ...buffers);
				probe.expectUsed(queue, head);
				expectOnlyNamed(probe, `report of ${pieces.length} buffers`, first, end, pages);
			}
		},
	}),
];
