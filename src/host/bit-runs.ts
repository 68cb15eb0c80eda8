/** Runs of bits in a bitmap of u32 words. Whole words at a time: a huge page is 16 words, not 512 steps. */

function mask(from: number, to: number): number {
	// Bits [from, to) of a word; to = 32 needs care, as a shift by 32 is a shift by 0.
	return (to === 32 ? 0xffff_ffff : (1 << to) - 1) & ~((1 << from) - 1);
}

/** Sets `count` bits from `first`. True if every one of them was clear before. */
export function setRun(words: Uint32Array, first: number, count: number): boolean {
	const end = first + count;
	let wereClear = true;
	for (let at = first; at < end;) {
		const word = at >>> 5;
		const next = Math.min(end, (word + 1) * 32);
		const bits = mask(at & 31, next - word * 32);
		wereClear = wereClear && (words[word]! & bits) === 0;
		words[word]! |= bits;
		at = next;
	}
	return wereClear;
}

/** Clears `count` bits from `first`. */
export function clearRun(words: Uint32Array, first: number, count: number): void {
	const end = first + count;
	for (let at = first; at < end;) {
		const word = at >>> 5;
		const next = Math.min(end, (word + 1) * 32);
		words[word]! &= ~mask(at & 31, next - word * 32);
		at = next;
	}
}

export function testBit(words: Uint32Array, index: number): boolean {
	return ((words[index >>> 5]! >>> (index & 31)) & 1) !== 0;
}

/** The first bit of value `value` (0 or 1) in [from, end), or `end`. */
export function findBit(words: Uint32Array, from: number, end: number, value: 0 | 1): number {
	const flip = value === 1 ? 0 : 0xffff_ffff;
	for (let at = from; at < end;) {
		const word = at >>> 5;
		const bits = ((words[word]! ^ flip) >>> 0) & ~((1 << (at & 31)) - 1);
		if (bits !== 0) {
			return Math.min(end, word * 32 + 31 - Math.clz32(bits & -bits));
		}
		at = (word + 1) * 32;
	}
	return end;
}
