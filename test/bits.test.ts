import test from 'ava';
import fc from 'fast-check';
import {Bits} from '../src/bits.js';
import {InvariantError} from '../src/errors.js';

const SEED = 20260408;
const SIZE_BYTES = 16;

function toBigInt(bytes: Uint8Array): bigint {
	return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** A field inside SIZE_BYTES: [offset, width]. */
const field = fc
	.integer({min: 1, max: 32})
	.chain((width) => fc.tuple(fc.integer({min: 0, max: SIZE_BYTES * 8 - width}), fc.constant(width)));
const content = fc.uint8Array({minLength: SIZE_BYTES, maxLength: SIZE_BYTES});

test('a field of any width at any bit offset reads as the same bits of one big little-endian number', (t) => {
	fc.assert(
		fc.property(content, field, (bytes, [at, width]) => {
			const model = Number((toBigInt(bytes) >> BigInt(at)) & ((1n << BigInt(width)) - 1n));
			t.is(new Bits(Uint8Array.from(bytes)).get(at, width), model);
		}),
		{seed: SEED, numRuns: 2000},
	);
});

test('writing a field changes its own bits and no others', (t) => {
	fc.assert(
		fc.property(content, field, fc.integer({min: 0, max: 0xffff_ffff}), (bytes, [at, width], value) => {
			const bits = new Bits(Uint8Array.from(bytes));
			bits.set(at, width, value);
			const mask = (1n << BigInt(width)) - 1n;
			const model = (toBigInt(bytes) & ~(mask << BigInt(at))) | ((BigInt(value) & mask) << BigInt(at));
			t.is(toBigInt(bits.bytes), model);
			t.is(bits.get(at, width), Number(BigInt(value) & mask));
		}),
		{seed: SEED, numRuns: 2000},
	);
});

test('any sequence of single-bit writes equals the same sequence on a BigInt', (t) => {
	const step = fc.tuple(fc.integer({min: 0, max: SIZE_BYTES * 8 - 1}), fc.boolean());
	fc.assert(
		fc.property(fc.array(step, {maxLength: 200}), (steps) => {
			const bits = Bits.zeros(SIZE_BYTES * 8);
			let model = 0n;
			for (const [bit, on] of steps) {
				bits.put(bit, on);
				model = on ? model | (1n << BigInt(bit)) : model & ~(1n << BigInt(bit));
				t.is(bits.has(bit), on);
			}
			t.is(toBigInt(bits.bytes), model);
		}),
		{seed: SEED, numRuns: 200},
	);
});

test('a view over a part of a buffer writes that part and nothing beside it', (t) => {
	const whole = new Uint8Array(12);
	const bits = new Bits(whole.subarray(4, 8));
	t.is(bits.length, 32);
	bits.set(0, 32, 0xffff_ffff);
	t.deepEqual([...whole], [0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
});

test('a field outside the bytes, too wide or at a negative offset is an error, not a number', (t) => {
	const bits = Bits.zeros(64);
	for (const [at, width] of [
		[0, 33],
		[0, 0],
		[-8, 8],
		[33, 32],
		[64, 1],
		[0.5, 8],
	] as const) {
		t.throws(() => bits.get(at, width), {instanceOf: InvariantError});
		t.throws(() => bits.set(at, width, 0), {instanceOf: InvariantError});
	}
});
