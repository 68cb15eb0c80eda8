import test from 'ava';
import fc from 'fast-check';
import {VmsimError} from '../../src/errors.js';
import type {VmEvent} from '../../src/events.js';
import {watchAccesses} from '../../src/host/access-watch.js';
import {frameBank, frameOffset, HostMemory, type HostMemoryOptions} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import type {HugePageMode} from '../../src/host/huge-pages.js';
import {GiB, HUGE_PAGE_SIZE, KiB, MiB, PAGE_SIZE} from '../../src/units.js';

const BASE = 0x8000_0000;

function guestOf(
	sizeBytes: number,
	options: HostMemoryOptions & {hugePages?: HugePageMode} = {},
): {host: HostMemory; ram: GuestMemory} {
	const host = new HostMemory(options);
	return {host, ram: new GuestMemory({base: BASE, sizeBytes, host, hugePages: options.hugePages ?? 'never'})};
}

/** Frames that the maps hold: each once, none of them 0, and as many as the host says. */
function assertNothingLeaked(host: HostMemory, guests: readonly GuestMemory[]): void {
	const seen = new Set<number>();
	for (const guest of guests) {
		let backed = 0;
		for (const frame of guest.frameMap) {
			if (frame !== 0) {
				if (seen.has(frame)) {
					throw new Error(`frame ${frame} is mapped twice`);
				}
				seen.add(frame);
				backed++;
			}
		}
		if (backed !== guest.counters.backedPages) {
			throw new Error(`${backed} pages are mapped, the counter says ${guest.counters.backedPages}`);
		}
	}
	if (seen.size !== host.framesBacked) {
		throw new Error(`${seen.size} frames are mapped, the host says ${host.framesBacked}`);
	}
}

test('a page without a frame reads zero and costs none', (t) => {
	const {host, ram} = guestOf(8 * MiB);
	t.is(ram.read8(BASE), 0);
	t.is(ram.read16(BASE + 4095), 0);
	t.is(ram.read32(BASE + 8 * MiB - 4), 0);
	t.deepEqual(ram.readBytes(BASE + 100, new Uint8Array(10_000).fill(7)), new Uint8Array(10_000));
	t.is(host.framesBacked, 0);
	t.is(host.bankCount, 0);
});

test('the first write into a page is a host fault, the next is not', (t) => {
	const {host, ram} = guestOf(8 * MiB);
	ram.write32(BASE + 4096, 0xdead_beef);
	ram.write32(BASE + 4100, 1);
	t.is(ram.read32(BASE + 4096), 0xdead_beef);
	t.is(ram.read16(BASE + 4098), 0xdead);
	t.is(ram.read8(BASE + 4097), 0xbe);
	t.is(host.framesBacked, 1);
	t.like(ram.counters, {faults: 1, refaults: 0, backedPages: 1});
});

test('an access outside RAM throws GPA_OUT_OF_RANGE, at both ends and for NaN', (t) => {
	const {ram} = guestOf(2 * MiB);
	const end = BASE + 2 * MiB;
	for (const action of [
		() => ram.read8(BASE - 1),
		() => ram.read32(end - 3),
		() => ram.write16(end - 1, 0),
		() => ram.write8(end, 0),
		() => ram.read32(NaN),
		() => ram.readBytes(end - 50, new Uint8Array(51)),
		() => ram.fill32(end, 4, 0),
		() => ram.discard(end, 4096),
	]) {
		t.is(t.throws(action, {instanceOf: VmsimError})?.code, 'GPA_OUT_OF_RANGE');
	}
	t.true(ram.contains(end, 0));
	t.false(ram.contains(end, 1));
	t.false(ram.contains(BASE, NaN));
	t.is(ram.counters.faults, 0);
});

test('discarded pages read zero, and a write to them is a refault', (t) => {
	for (const cacheBytes of [0, 16 * MiB]) {
		const {host, ram} = guestOf(8 * MiB, {cacheBytes});
		ram.fill32(BASE, 64 * KiB, 0x0101_0101);
		t.deepEqual(ram.discard(BASE + 4096, 8192), {freedBytes: 8192, hugePagesSplit: 0});
		t.deepEqual(ram.discard(BASE + 4096, 8192), {freedBytes: 0, hugePagesSplit: 0});
		ram.flushDiscards();
		t.is(ram.read32(BASE + 4096), 0);
		t.is(ram.read32(BASE + 4092), 0x0101_0101);
		t.is(ram.read32(BASE + 12288), 0x0101_0101);
		ram.write8(BASE + 4096, 0xff);
		t.is(ram.read32(BASE + 4096), 0xff);
		t.deepEqual(ram.readBytes(BASE + 4097, new Uint8Array(4095)), new Uint8Array(4095));
		t.like(ram.counters, {faults: 17, refaults: 1, refaultedPages: 1, discardedPages: 2, backedPages: 15});
		assertNothingLeaked(host, [ram]);
	}
});

/** One step of a guest, its device and its host. Sizes in bytes, places as fractions of the memory. */
const operation = fc.record({
	kind: fc.constantFrom('write8', 'write16', 'write32', 'bytes', 'fill', 'discard', 'flush', 'zero-write'),
	at: fc.integer({min: 0, max: 6 * MiB - 1}),
	size: fc.integer({min: 1, max: 3 * PAGE_SIZE}),
	wide: fc.boolean(),
	value: fc.integer({min: 0, max: 0xffff_ffff}),
});

for (const hugePages of ['never', 'always'] as const) {
	test(`the second-stage map behaves like one flat memory, huge pages ${hugePages}`, (t) => {
		const size = 6 * MiB;
		fc.assert(
			fc.property(fc.array(operation, {minLength: 1, maxLength: 40}), (operations) => {
				const {host, ram} = guestOf(size, {bankBytes: 4 * MiB, cacheBytes: 0, hugePages});
				const flat = new Uint8Array(size);
				const view = new DataView(flat.buffer);
				for (const {kind, at, size: length, wide, value} of operations) {
					const start = Math.min(at, size - length);
					const word = Math.min(at & ~3, size - 4);
					switch (kind) {
						case 'write8':
							ram.write8(BASE + at, value);
							view.setUint8(at, value);
							break;
						case 'write16':
							ram.write16(BASE + Math.min(at, size - 2), value);
							view.setUint16(Math.min(at, size - 2), value, true);
							break;
						case 'write32':
							ram.write32(BASE + Math.min(at, size - 4), value);
							view.setUint32(Math.min(at, size - 4), value, true);
							break;
						case 'zero-write':
							ram.write32(BASE + word, 0);
							view.setUint32(word, 0, true);
							break;
						case 'bytes': {
							const bytes = Uint8Array.from({length}, (_, i) => value + i);
							ram.writeBytes(BASE + start, bytes);
							flat.set(bytes, start);
							break;
						}
						case 'fill': {
							const words = length >>> 2;
							const from = Math.min(word, size - 4 * words);
							ram.fill32(BASE + from, 4 * words, value);
							for (let i = 0; i < words; i++) {
								view.setUint32(from + 4 * i, value, true);
							}
							break;
						}
						case 'discard': {
							// Sometimes a few pages, sometimes as much as a report hands over.
							const from = Math.floor(at / PAGE_SIZE) * PAGE_SIZE;
							const pages = wide ? 512 : Math.ceil(length / PAGE_SIZE);
							const to = Math.min(size, from + pages * PAGE_SIZE);
							ram.discard(BASE + from, to - from);
							flat.fill(0, from, to);
							break;
						}
						default:
							ram.flushDiscards();
					}
					const there = Math.min(start, size - 8);
					t.is(ram.read32(BASE + there), view.getUint32(there, true));
					t.is(ram.read16(BASE + there + 1), view.getUint16(there + 1, true));
				}
				t.is(Buffer.compare(ram.readBytes(BASE, new Uint8Array(size)), flat), 0);
				assertNothingLeaked(host, [ram]);
				ram.close();
				t.is(host.framesBacked, 0);
			}),
			{seed: 20_261_123, numRuns: 60},
		);
	});
}

test('a 64 GiB guest costs its map and nothing more; its last page works', (t) => {
	const {host, ram} = guestOf(64 * GiB);
	const last = BASE + 64 * GiB - 4;
	t.true(last > 2 ** 36);
	for (let gib = 0; gib < 64; gib++) {
		ram.write32(BASE + gib * GiB, gib + 1);
	}
	ram.write32(last, 0x1234_5678);
	t.is(ram.read32(last), 0x1234_5678);
	t.is(ram.read32(BASE + 37 * GiB), 38);
	t.is(host.framesBacked, 65);
	t.is(ram.discard(BASE, 64 * GiB).freedBytes, 65 * PAGE_SIZE);
	t.is(host.framesBacked, 0);
});

test('more memory than one bank: frame numbers carry the bank, contents stay apart', (t) => {
	const {host, ram} = guestOf(16 * MiB, {bankBytes: 4 * MiB});
	for (let page = 0; page < ram.pages; page++) {
		ram.write32(BASE + page * PAGE_SIZE + 8, page + 1);
	}
	// Chunk 0 holds frame 0, which means "nothing": 2 MiB of the first bank are not for guests.
	t.is(host.bankCount, 5);
	t.deepEqual(new Set([...ram.frameMap].map((frame) => frameBank(frame))), new Set([0, 1, 2, 3, 4]));
	for (let page = 0; page < ram.pages; page++) {
		const frame = ram.frameForRead(page);
		t.is(host.bank(frameBank(frame)).u32[frameOffset(frame) / 4 + 2], page + 1);
	}
	assertNothingLeaked(host, [ram]);
	// A copy that crosses banks.
	const all = ram.readBytes(BASE, new Uint8Array(16 * MiB));
	t.is(new DataView(all.buffer).getUint32(3000 * PAGE_SIZE + 8, true), 3001);
});

test('the limit is reached, said, and survived', (t) => {
	const events: VmEvent[] = [];
	const trace = {active: true, pages: false, emit: (event: VmEvent) => events.push(event)};
	const host = new HostMemory({limitBytes: 1 * MiB});
	const ram = new GuestMemory({base: BASE, sizeBytes: 8 * MiB, host, trace});
	for (let page = 0; page < 256; page++) {
		ram.write32(BASE + page * 5 * PAGE_SIZE, page);
	}
	const write = (): void => ram.write32(BASE + 4096, 1);
	const error = t.throws(write, {instanceOf: VmsimError});
	t.is(error?.code, 'HOST_MEMORY_EXHAUSTED');
	t.regex(error?.message ?? '', /1 MiB backed of a limit of 1 MiB/);
	t.deepEqual(events, [{type: 'host-limit', limitBytes: 1 * MiB}]);
	t.is(ram.read32(BASE + 4096), 0);
	// An access over two pages of which one would fail writes nothing at all.
	t.throws(() => ram.write32(BASE + 4094, 0xffff_ffff), {instanceOf: VmsimError});
	t.is(ram.read32(BASE + 4092), 0);
	t.is(host.framesBacked, 256);
	assertNothingLeaked(host, [ram]);
	// One page back, one page on.
	ram.discard(BASE + 5 * PAGE_SIZE, PAGE_SIZE);
	write();
	t.is(ram.read32(BASE + 4096), 1);
	for (let page = 2; page < 256; page++) {
		t.is(ram.read32(BASE + page * 5 * PAGE_SIZE), page);
	}
	t.throws(() => ram.write32(BASE + 5 * PAGE_SIZE, 1), {instanceOf: VmsimError});
});

test('three guests on one host share its frames and never see each other', (t) => {
	fc.assert(
		fc.property(
			fc.array(fc.tuple(fc.nat(2), fc.nat(1023), fc.boolean()), {minLength: 1, maxLength: 600}),
			(steps) => {
				const host = new HostMemory({limitBytes: 3 * MiB, bankBytes: 4 * MiB});
				const guests = [0, 1, 2].map(
					(id) =>
						new GuestMemory({
							base: BASE,
							sizeBytes: 4 * MiB,
							host,
							hugePages: id === 2 ? 'always' : 'never',
						}),
				);
				const models = guests.map(() => new Map<number, number>());
				let refused = 0;
				for (const [at, [id, page, drop]] of steps.entries()) {
					const address = BASE + page * PAGE_SIZE + (page % 1000) * 4;
					if (drop) {
						guests[id]!.discard(BASE + page * PAGE_SIZE, PAGE_SIZE);
						models[id]!.delete(page);
						continue;
					}
					try {
						guests[id]!.write32(address, at + 1);
						models[id]!.set(page, at + 1);
					} catch (error) {
						t.is((error as VmsimError).code, 'HOST_MEMORY_EXHAUSTED');
						t.is(host.framesBacked, 768);
						refused++;
					}
				}
				for (const [id, model] of models.entries()) {
					for (let page = 0; page < 1024; page++) {
						const got = guests[id]!.read32(BASE + page * PAGE_SIZE + (page % 1000) * 4);
						t.is(got, model.get(page) ?? 0);
					}
				}
				assertNothingLeaked(host, guests);
				t.true(refused === 0 || host.framesPeak === 768);
			},
		),
		{seed: 7, numRuns: 15},
	);
});

test('huge pages: one fault, one aligned run, split by a discard of a part and not by one of the whole', (t) => {
	const {host, ram} = guestOf(5 * MiB, {hugePages: 'always'});
	ram.write8(BASE + 3 * MiB, 1);
	t.like(ram.counters, {faults: 1, hugeFaults: 1, backedPages: 512});
	t.is(host.framesBacked, 512);
	t.is(ram.frameForRead(512) % 512, 0);
	t.is(ram.frameForRead(1023), ram.frameForRead(512) + 511);
	t.true(ram.isHuge(700));
	t.deepEqual(ram.discard(BASE + 2 * MiB, 2 * MiB), {freedBytes: 2 * MiB, hugePagesSplit: 0});
	ram.write8(BASE + 3 * MiB, 2);
	t.like(ram.counters, {faults: 2, refaults: 1, refaultedPages: 512});
	ram.write8(BASE, 3);
	// A part of both: two splits in one call. The second time there is nothing left to split.
	t.deepEqual(ram.discard(BASE + 1 * MiB, 2 * MiB), {freedBytes: 2 * MiB, hugePagesSplit: 2});
	t.deepEqual(ram.discard(BASE + 3 * MiB, 64 * KiB), {freedBytes: 64 * KiB, hugePagesSplit: 0});
	t.is(ram.counters.hugePagesSplit, 2);
	t.is(ram.read8(BASE), 3);
	// A range that has frames takes single ones, and so does a range that sticks out of the memory.
	ram.write8(BASE + 1 * MiB, 1);
	ram.write8(BASE + 4 * MiB, 1);
	t.like(ram.counters, {hugeFaults: 3, faults: 5});
	assertNothingLeaked(host, [ram]);
});

test('a host without a free 2 MiB run gives small pages', (t) => {
	const {host, ram} = guestOf(8 * MiB, {hugePages: 'always', limitBytes: 3 * MiB});
	ram.write8(BASE, 1);
	ram.write8(BASE + 2 * MiB, 1);
	t.like(ram.counters, {faults: 2, hugeFaults: 1, backedPages: 513});
	t.is(host.framesBacked, 513);
});

test('a range that was touched in any order is one run of frames', (t) => {
	const {ram} = guestOf(8 * MiB);
	for (let i = 0; i < 2048; i++) {
		ram.write8(BASE + ((i * 769) % 2048) * PAGE_SIZE, 1);
	}
	for (let page = 0; page < 2048; page++) {
		t.is(ram.frameForRead(page), ram.frameForRead(page & ~511) + (page & 511));
	}
});

test('listeners hear of unmapped ranges and of writes into watched pages', (t) => {
	const {ram} = guestOf(8 * MiB);
	const unmapped: [number, number][] = [];
	const written: number[] = [];
	const endUnmap = ram.onUnmap((first, pages) => unmapped.push([first, pages]));
	const endWatch = ram.onWatchedWrite((page) => written.push(page));
	ram.discard(BASE, 2 * MiB);
	t.deepEqual(unmapped, [], 'nothing had a frame');
	ram.watch(3);
	ram.write8(BASE + 2 * PAGE_SIZE, 1);
	ram.write8(BASE + 3 * PAGE_SIZE, 1);
	ram.write32(BASE + 3 * PAGE_SIZE, 1);
	ram.write16(BASE + 4 * PAGE_SIZE - 1, 1);
	ram.writeBytes(BASE + 2 * PAGE_SIZE, new Uint8Array(3 * PAGE_SIZE));
	ram.fill32(BASE, 16 * PAGE_SIZE, 0);
	t.deepEqual(written, [3, 3, 3, 3, 3]);
	ram.unwatch(3);
	ram.write8(BASE + 3 * PAGE_SIZE, 1);
	t.is(written.length, 5);
	ram.discard(BASE + 2 * PAGE_SIZE, 2 * PAGE_SIZE);
	t.deepEqual(unmapped, [[2, 2]]);
	endUnmap();
	endWatch();
	ram.watch(5);
	ram.write8(BASE + 5 * PAGE_SIZE, 1);
	ram.discard(BASE + 5 * PAGE_SIZE, PAGE_SIZE);
	t.is(written.length + unmapped.length, 6);
});

test('single faults are events only where somebody listens to pages', (t) => {
	const events: VmEvent[] = [];
	for (const pages of [false, true]) {
		const host = new HostMemory();
		const trace = {active: true, pages, emit: (event: VmEvent) => events.push(event)};
		const ram = new GuestMemory({base: BASE, sizeBytes: 4 * MiB, host, trace});
		ram.write8(BASE + 5 * PAGE_SIZE, 1);
		ram.discard(BASE + 5 * PAGE_SIZE, PAGE_SIZE);
		ram.write8(BASE + 5 * PAGE_SIZE, 1);
	}
	const pfn = BASE / PAGE_SIZE + 5;
	t.deepEqual(events, [
		{type: 'host-fault', pfn, refault: false, huge: false},
		{type: 'host-fault', pfn, refault: true, huge: false},
	]);
});

test('a CPU engine reserves the front of bank 0, and no guest gets those frames', (t) => {
	const host = new HostMemory({limitBytes: 4 * MiB});
	t.is(host.reserveBank0(3 * MiB), 0);
	const ram = new GuestMemory({base: BASE, sizeBytes: 4 * MiB, host});
	host.bank(0).u8.fill(0xaa, 0, 3 * MiB);
	ram.fill32(BASE, 4 * MiB, 0x5555_5555);
	t.true(
		host
			.bank(0)
			.u8.subarray(0, 3 * MiB)
			.every((byte) => byte === 0xaa),
	);
	t.is(host.framesBacked, 1024);
	t.is(host.bankCount, 1);
	t.is(t.throws(() => host.reserveBank0(1), {instanceOf: VmsimError})?.code, 'HOST_BANK_FULL');

	const roomy = new HostMemory({bankBytes: 16 * MiB});
	t.is(roomy.reserveBank0(100), 0);
	t.is(roomy.reserveBank0(100), HUGE_PAGE_SIZE);
});

test('sizes that make no sense are refused', (t) => {
	const host = new HostMemory();
	for (const action of [
		() => new HostMemory({bankBytes: 3 * MiB}),
		() => new HostMemory({bankBytes: 8 * GiB}),
		() => new HostMemory({limitBytes: 0}),
		() => new HostMemory({limitBytes: NaN}),
		() => new GuestMemory({base: 4096, sizeBytes: MiB, host}),
		() => new GuestMemory({base: BASE, sizeBytes: 100, host}),
		() => new GuestMemory({base: BASE, sizeBytes: 0, host}),
	]) {
		t.is(t.throws(action, {instanceOf: VmsimError})?.code, 'HOST_OPTION');
	}
});

test('a fill that is not in words and a discard that is not in pages are refused', (t) => {
	const ram = new GuestMemory({base: BASE, sizeBytes: MiB, host: new HostMemory()});
	ram.fill32(BASE, PAGE_SIZE, 0x1234_5678);
	for (const action of [
		() => ram.fill32(BASE + 2, 4, 0),
		() => ram.fill32(BASE, 6, 0),
		() => ram.discard(BASE + 512, PAGE_SIZE),
		() => ram.discard(BASE, PAGE_SIZE - 1),
	]) {
		t.is(t.throws(action, {instanceOf: VmsimError})?.code, 'GPA_UNALIGNED');
	}
	t.deepEqual(ram.discard(BASE, 0), {freedBytes: 0, hugePagesSplit: 0});
	t.is(ram.read32(BASE + PAGE_SIZE - 4), 0x1234_5678);
});

test('whoever watches a memory sees each access before it happens, with its size and direction', (t) => {
	const ram = new GuestMemory({base: BASE, sizeBytes: MiB, host: new HostMemory()});
	const peek = ram.read32.bind(ram);
	let seen: [at: number, sizeBytes: number, write: boolean, word: number][] = [];
	watchAccesses(ram, (address, sizeBytes, write) =>
		seen.push([address - BASE, sizeBytes, write, peek(BASE)]),
	);
	// A long access may be made of short ones, which are seen as well.
	const first = (access: () => unknown) => {
		seen = [];
		access();
		return seen[0];
	};
	t.deepEqual(
		first(() => ram.write32(BASE, 1)),
		[0, 4, true, 0],
	);
	t.deepEqual(
		first(() => ram.write16(BASE + 8, 2)),
		[8, 2, true, 1],
	);
	t.deepEqual(
		first(() => ram.write8(BASE + 9, 3)),
		[9, 1, true, 1],
	);
	t.deepEqual(
		first(() => ram.writeBytes(BASE, Uint8Array.of(5, 0, 0, 0))),
		[0, 4, true, 1],
	);
	t.deepEqual(
		first(() => ram.fill32(BASE, 8, 7)),
		[0, 8, true, 5],
	);
	t.deepEqual(
		first(() => ram.read8(BASE)),
		[0, 1, false, 7],
	);
	t.deepEqual(
		first(() => ram.read16(BASE)),
		[0, 2, false, 7],
	);
	t.deepEqual(
		first(() => ram.read32(BASE)),
		[0, 4, false, 7],
	);
	t.deepEqual(
		first(() => ram.readBytes(BASE, new Uint8Array(12))),
		[0, 12, false, 7],
	);
});
