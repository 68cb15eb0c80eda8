import test from 'ava';
import {UsageError} from '../../src/errors.js';
import {frameOffset, HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {createLinearMemory} from '../../src/host/linear-memory.js';
import {
	madviseReclaim,
	NO_RECLAIM,
	openReclaim,
	type HostReclaim,
	type MadviseBinding,
} from '../../src/host/reclaim.js';
import {processRssBytes, readResidentPages, readSmapsRollup} from '../../src/host/rss.js';
import {KiB, MiB, PAGE_SIZE} from '../../src/units.js';

const BASE = 0x8000_0000;
const reclaim = await openReclaim('auto');
const missing =
	'SKIPPED: nothing here can call madvise; npm install (with the optional package koffi) on Linux, or Node 26.1';
const testReal = reclaim.releases
	? test.serial
	: (title: string, _run: unknown): void => test.skip(`${title} -- ${missing}`, () => {});

function guestOf(
	sizeBytes: number,
	cacheBytes: number,
	how: HostReclaim,
): {host: HostMemory; ram: GuestMemory} {
	const host = new HostMemory({reclaim: how, cacheBytes});
	return {host, ram: new GuestMemory({base: BASE, sizeBytes, host})};
}

/** A HostReclaim that does what madvise does and notes its calls. */
function recorder(): {how: HostReclaim; calls: [number, number][]} {
	const calls: [number, number][] = [];
	const how: HostReclaim = {
		...NO_RECLAIM,
		releases: true,
		release(memory, offset, length) {
			calls.push([offset / PAGE_SIZE, length / PAGE_SIZE]);
			new Uint8Array(memory.buffer, offset, length).fill(0);
			return true;
		},
	};
	return {how, calls};
}

testReal('discarded memory really leaves this process: pagemap page by page, and RSS', (t) => {
	const size = 256 * MiB;
	const {host, ram} = guestOf(size, 0, reclaim);
	const before = processRssBytes();
	ram.fill32(BASE, size, 0xa5a5_a5a5);
	const full = processRssBytes();
	t.true(full - before > size * 0.95, `RSS rose by ${(full - before) / MiB} MiB`);

	// Every third page of the first 16 MiB, and all from 64 MiB on.
	for (let page = 0; page < 4096; page += 3) {
		ram.discard(BASE + page * PAGE_SIZE, PAGE_SIZE);
	}
	ram.discard(BASE + 64 * MiB, size - 64 * MiB);
	ram.flushDiscards();

	const bank = host.bank(0);
	const resident = readResidentPages(reclaim.addressOf(bank.memory), (size + 4 * MiB) / PAGE_SIZE);
	t.truthy(resident, '/proc/self/pagemap can be read');
	let wrong = 0;
	for (let page = 0; page < ram.pages; page++) {
		const frame = ram.frameForRead(page);
		wrong += frame !== 0 && resident![frameOffset(frame) / PAGE_SIZE] !== 1 ? 1 : 0;
	}
	t.is(wrong, 0, 'a page with a frame is resident');
	const residentPages = resident!.reduce((sum, present) => sum + present, 0);
	t.is(residentPages, host.framesBacked, 'and nothing else of the bank is');
	t.is(host.framesBacked, 64 * 256 - 1366);
	t.is(host.osReleasedBytes, (1366 + 192 * 256) * PAGE_SIZE);
	const after = processRssBytes();
	t.true(full - after > 190 * MiB, `RSS fell by ${(full - after) / MiB} MiB`);
	t.true(readSmapsRollup()!.get('Rss')! < full - 190 * MiB);
	t.is(ram.read32(BASE + 4096), 0xa5a5_a5a5);
	t.is(ram.read32(BASE), 0);
	ram.close();
});

testReal('frames that came back from the system are zero, and the cache stays within its size', (t) => {
	const {host, ram} = guestOf(64 * MiB, 4 * MiB, reclaim);
	for (let round = 1; round <= 4; round++) {
		ram.fill32(BASE, 32 * MiB, round);
		ram.discard(BASE, 32 * MiB);
		ram.flushDiscards();
		t.true(host.cachedBytes <= 4 * MiB);
		ram.write8(BASE + 40 * MiB, 1);
		t.deepEqual(ram.readBytes(BASE + 40 * MiB + 1, new Uint8Array(4095)), new Uint8Array(4095));
		ram.discard(BASE + 40 * MiB, PAGE_SIZE);
	}
	host.trim();
	t.is(host.cachedBytes, 0);
	t.is(host.osReleaseFailures, 0);
	const resident = readResidentPages(reclaim.addressOf(host.bank(0).memory), (64 * MiB) / PAGE_SIZE);
	t.is(resident?.indexOf(1), -1);
});

test('neighbours are joined: pages that are given back in any order go in one call', (t) => {
	const {how, calls} = recorder();
	const {host, ram} = guestOf(16 * MiB, 0, how);
	ram.fill32(BASE, 16 * MiB, 1);
	for (let i = 0; i < 2048; i++) {
		ram.discard(BASE + ((i * 1021) % 2048) * PAGE_SIZE, PAGE_SIZE);
	}
	t.deepEqual(calls, []);
	ram.flushDiscards();
	t.deepEqual(calls, [[ram.host.bank(0).frontier * 512 - 4096, 2048]]);
	t.is(host.osReleaseCalls, 1);
	ram.flushDiscards();
	t.is(calls.length, 1);
	// Holes stay holes: pages in use are never released.
	ram.discard(BASE + 8 * MiB, 64 * KiB);
	ram.discard(BASE + 8 * MiB + 68 * KiB, 4 * KiB);
	ram.flushDiscards();
	t.deepEqual(
		calls.slice(1).map(([, frames]) => frames),
		[16, 1],
	);
	t.is(ram.read32(BASE + 8 * MiB + 64 * KiB), 1);
});

test('the cache keeps what was freed last, releases what was freed first, and is used again first', (t) => {
	const {how, calls} = recorder();
	const {host, ram} = guestOf(32 * MiB, 4 * MiB, how);
	ram.fill32(BASE, 16 * MiB, 9);
	const first = ram.frameForRead(0);
	const last = ram.frameForRead(4 * 512 - 1);
	for (let range = 0; range < 4; range++) {
		ram.discard(BASE + range * 2 * MiB, 2 * MiB);
		ram.flushDiscards();
	}
	t.is(host.cachedBytes, 4 * MiB);
	t.deepEqual(calls, [
		[first, 512],
		[first + 512, 512],
	]);
	const frame = ram.frameForWrite(16 * 256 + 511);
	t.is(frame, last, 'a frame that is still here');
	t.is(ram.read32(BASE + 18 * MiB - 4), 0, 'and it was zeroed');
});

test('without a way to release, nothing is said to have gone, and reused frames are zero all the same', (t) => {
	const {host, ram} = guestOf(8 * MiB, 0, NO_RECLAIM);
	ram.fill32(BASE, 8 * MiB, 3);
	ram.discard(BASE, 8 * MiB);
	ram.flushDiscards();
	t.is(host.osReleasedBytes, 0);
	t.is(host.cachedBytes, 8 * MiB);
	for (let page = 0; page < ram.pages; page++) {
		ram.write8(BASE + page * PAGE_SIZE, 1);
		t.is(ram.read32(BASE + page * PAGE_SIZE), 1);
		t.is(ram.read32(BASE + page * PAGE_SIZE + 4092), 0);
	}
	t.false(NO_RECLAIM.releases);
	t.regex(NO_RECLAIM.description, /stays with this process/);
});

test('a run that the system refuses to take is zeroed on reuse and counted', (t) => {
	const {host, ram} = guestOf(4 * MiB, 0, {...NO_RECLAIM, releases: true});
	ram.fill32(BASE, 2 * MiB, 3);
	ram.discard(BASE, 2 * MiB);
	ram.flushDiscards();
	t.is(host.osReleaseFailures, 1);
	t.is(host.osReleasedBytes, 0);
	ram.write8(BASE, 1);
	t.is(ram.read32(BASE), 1);
});

test('the model does not depend on what goes back to the system', (t) => {
	const results = [NO_RECLAIM, recorder().how].map((how) => {
		const host = new HostMemory({reclaim: how, cacheBytes: 1 * MiB, limitBytes: 12 * MiB});
		const ram = new GuestMemory({base: BASE, sizeBytes: 32 * MiB, host, hugePages: 'always'});
		let state = 12345;
		for (let step = 0; step < 4000; step++) {
			state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
			const page = (state >>> 8) % ram.pages;
			if (state % 3 === 0 || host.framesBacked > 2400) {
				ram.discard(BASE + (page & ~255) * PAGE_SIZE, 256 * PAGE_SIZE);
				ram.flushDiscards();
			} else {
				ram.write8(BASE + page * PAGE_SIZE, 1);
			}
		}
		return {counters: ram.counters, map: [...ram.frameMap]};
	});
	t.deepEqual(results[0], results[1]);
	t.true(results[0]!.counters.hugePagesSplit > 0);
});

test('madvise that does not do what Linux promises is not used', (t) => {
	const binding: MadviseBinding = {
		name: 'koffi',
		description: '',
		madvise: () => 0,
		sysconf: () => 4096,
		addressOf: () => 4096,
	};
	t.is(madviseReclaim(binding), undefined, 'it says yes and the page is still there');
	t.is(madviseReclaim({...binding, madvise: () => -1}), undefined);
	t.is(madviseReclaim({...binding, sysconf: () => -1}), undefined);
});

test('reclaim none is always there; one that is asked for by name and is not there is an error', async (t) => {
	t.is((await openReclaim('none')).name, 'none');
	const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
	if (major < 26 || (major === 26 && minor < 1)) {
		const error = await t.throwsAsync(() => openReclaim('ffi'), {instanceOf: UsageError});
		t.regex(
			error?.message ?? '',
			/^--reclaim "ffi" .*Node 26\.1.*auto takes what works, none frees nothing$/,
		);
	} else {
		t.is((await openReclaim('ffi')).name, 'ffi');
	}
	if (reclaim.releases) {
		t.true((await openReclaim('madvise')).releases);
	}
});

testReal('the address that is told to the system is that of the memory', (t) => {
	const memory = createLinearMemory(1 * MiB);
	new Uint8Array(memory.buffer)[5 * PAGE_SIZE] = 1;
	t.deepEqual([...readResidentPages(reclaim.addressOf(memory), 8)!], [0, 0, 0, 0, 0, 1, 0, 0]);
});
