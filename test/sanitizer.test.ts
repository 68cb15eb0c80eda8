import test from 'ava';
import {DEFAULT_MACHINE} from '../src/config.js';
import type {VmsimError} from '../src/errors.js';
import type {VmEvent} from '../src/events.js';
import {Sanitizer} from '../src/sanitizer.js';
import {Simulation} from '../src/simulation.js';
import {MiB, PAGE_SIZE} from '../src/units.js';
import {vmsim} from './helpers/cli.js';

const BASE = 0x8_0000;
const BLOCK = {pfn: BASE + 512, order: 9};
const SUBMIT: VmEvent = {type: 'report-submit', zone: 'Normal', blocks: [BLOCK]};
const RETURN: VmEvent = {type: 'report-return', zone: 'Normal', blocks: [BLOCK], ok: true};
const FREED: VmEvent = {type: 'page-free', ...BLOCK};
const TAKEN: VmEvent = {type: 'page-alloc', ...BLOCK, migratetype: 1};

function discard(queue: number): VmEvent {
	return {
		type: 'discard',
		device: 0,
		queue,
		head: 3,
		base: BLOCK.pfn * PAGE_SIZE,
		sizeBytes: 2 * MiB,
		freedBytes: 2 * MiB,
		hugePagesSplit: 0,
	};
}

const READY: VmEvent = {
	type: 'queue-ready',
	device: 0,
	queue: 3,
	ready: true,
	size: 32,
	desc: 0,
	driver: 0,
	used: 0,
	name: 'reporting_vq',
};

/** A sanitizer that has seen these events, a millisecond apart. */
function after(...events: VmEvent[]): Sanitizer {
	const sanitizer = new Sanitizer({basePfn: BASE, pages: 4096});
	for (const [at, event] of events.entries()) {
		sanitizer.listen(event, at * 1e6);
	}
	return sanitizer;
}

const BREACH = {code: 'USE_AFTER_REPORT'};

test('a block that is freed, lent, discarded, brought back and used again is no breach', (t) => {
	const sanitizer = after(READY, TAKEN, FREED, SUBMIT, discard(3), RETURN, TAKEN);
	sanitizer.touch(BLOCK.pfn * PAGE_SIZE, 4, true, 'guest');
	t.is(sanitizer.lentPages, 512);
	t.is(sanitizer.accesses, 1);
});

test('a touch of a lent page is a breach, whoever it is; beside it, or before and after, it is none', (t) => {
	const lent = after(READY, FREED, SUBMIT);
	const start = BLOCK.pfn * PAGE_SIZE;
	lent.touch(start - 4, 4, true, 'guest');
	lent.touch(start + 2 * MiB, 4, true, 'guest');
	t.throws(() => lent.touch(start - 2, 4, false, 'device'), {...BREACH, message: /the device read 4 bytes/});
	t.throws(() => lent.touch(start + 2 * MiB - 1, 1, true, 'guest'), {...BREACH, message: /the guest wrote/});
	after(FREED, SUBMIT, RETURN).touch(start, 4, true, 'guest');
});

test('handing out or freeing a lent page, and lending one in use, are breaches', (t) => {
	t.throws(() => after(FREED, SUBMIT, {...TAKEN, pfn: BLOCK.pfn + 7, order: 0}), {
		...BREACH,
		message: /handed out pages that the host has/,
	});
	t.throws(() => after(FREED, SUBMIT, FREED), {...BREACH, message: /freed pages that the host has/});
	t.throws(() => after({...TAKEN, pfn: BLOCK.pfn + 511, order: 0}, SUBMIT), {...BREACH, message: /in use/});
});

test('a discard of a page in use, or after its return, is a breach; that of the balloon is none', (t) => {
	t.throws(() => after(READY, TAKEN, discard(3)), {...BREACH, message: /discarded pages that are in use/});
	t.throws(() => after(READY, FREED, SUBMIT, RETURN, discard(3)), {
		...BREACH,
		message: /does not have any more/,
	});
	t.notThrows(() => after(READY, TAKEN, discard(0)), 'an inflated page is one in use');
	t.notThrows(() => after(READY, TAKEN, {...discard(3), skipped: 'poison'} as VmEvent));
});

test('a breach tells what led there, on both sides, and nothing of other pages', (t) => {
	const other = {pfn: BASE + 2048, order: 9};
	const chain: VmEvent = {
		type: 'avail',
		device: 0,
		queue: 3,
		ringIndex: 0,
		head: 3,
		descriptors: [{index: 3, indirect: false, addr: BLOCK.pfn * PAGE_SIZE, len: 2 * MiB, flags: 2, next: 0}],
		raw: new Uint8Array(16),
		payload: () => new Uint8Array(),
	};
	const sanitizer = after(READY, FREED, {type: 'page-free', ...other}, SUBMIT, chain, discard(3));
	const error = t.throws<VmsimError>(() => sanitizer.touch(BLOCK.pfn * PAGE_SIZE, 4, true, 'guest'), BREACH);
	const lines = error.message.split('\n').slice(1);
	t.deepEqual(
		lines.map((line) => line.trim().split(/\s+/).slice(2, 4).join(' ')),
		['guest freed', 'guest lent', 'device popped', 'host discarded'],
	);
});

async function simulation(): Promise<Simulation> {
	const machine = structuredClone(DEFAULT_MACHINE);
	machine.guestMemBytes = 128 * MiB;
	machine.host.reclaim = 'none';
	const workload = {name: 'memhog', options: {sizeBytes: 64 * MiB, holdNs: 1e9, settle: true}};
	return Simulation.create({machine, workload, durationNs: 20e9, sanitize: true});
}

test('a whole run under mainline is clean, and was looked at', async (t) => {
	const run = await simulation();
	await run.run();
	t.true(run.kernel.reporting!.stats.batches > 0);
	t.true(run.sanitizer!.lentPages * PAGE_SIZE >= run.kernel.reporting!.stats.reportedBytes);
	t.true(run.sanitizer!.accesses > 10_000);
});

test('whoever writes into a block while the host has it is stopped there, and is no guest if it is a device', async (t) => {
	const run = await simulation();
	const {machine} = run;
	machine.trace.subscribe((event) => {
		if (event.type === 'report-submit') {
			machine.clock.after(1, () => machine.memory.write32(event.blocks[0]!.pfn * PAGE_SIZE, 1));
		}
	});
	const error = await t.throwsAsync<VmsimError>(run.run(), BREACH);
	t.regex(error.message, /the device wrote 4 bytes/);
	t.regex(error.message, /guest {3}lent/);
});

test('a guest that writes into a block while the host has it is named', async (t) => {
	const run = await simulation();
	const {kernel, machine} = run;
	machine.trace.subscribe((event) => {
		if (event.type === 'report-submit') {
			kernel.contents.write(event.blocks[0]!.pfn, 0, 1);
		}
	});
	await t.throwsAsync(run.run(), {...BREACH, message: /the guest wrote 4 bytes/});
});

test('a device that discards what it has answered already is stopped there', async (t) => {
	const run = await simulation();
	const {machine} = run;
	let late: VmEvent | undefined;
	machine.trace.subscribe((event) => {
		if (event.type === 'discard') {
			late = {...event};
		} else if (event.type === 'report-return' && late !== undefined) {
			const again = late;
			machine.clock.after(1, () => machine.trace.emit(again));
		}
	});
	await t.throwsAsync(run.run(), {...BREACH, message: /does not have any more/});
});

test('--sanitize: a clean run ends with 0; with a guest that is not ours it is refused', async (t) => {
	const [clean, program] = await Promise.all([
		vmsim(['run', '-q', '--sanitize', '-m', '128M', '-w', 'churn', '--duration', '10s', '--json']),
		vmsim(['run', '--sanitize', '--kernel', 'Image']),
	]);
	t.is(clean.code, 0, clean.stderr);
	t.is(program.code, 2);
	t.regex(program.stderr, /--sanitize contradicts/);
});
