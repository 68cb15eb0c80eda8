/**
 * Seeded random numbers for workloads: xoshiro128** of D. Blackman and S. Vigna (2018), seeded by splitmix32, so that any
 * seed, 0 too, gives a good start.
 */

/** One step of splitmix32: a permutation of the 32-bit numbers that leaves no pattern standing. */
export function mix32(value: number): number {
	let z = (value + 0x9e37_79b9) | 0;
	z = Math.imul(z ^ (z >>> 16), 0x21f0_aaad);
	z = Math.imul(z ^ (z >>> 15), 0x735a_2d97);
	return (z ^ (z >>> 15)) >>> 0;
}

export class Random {
	readonly #state = new Uint32Array(4);

	/** `seed` is any 32-bit number. */
	constructor(seed: number) {
		let z = seed >>> 0;
		for (let at = 0; at < 4; at++) {
			this.#state[at] = mix32(z);
			z = (z + 0x9e37_79b9) >>> 0;
		}
	}

	/** Uniform in 0 .. 2^32 - 1. */
	next32(): number {
		const s = this.#state;
		const times5 = Math.imul(s[1]!, 5);
		const result = Math.imul((times5 << 7) | (times5 >>> 25), 9) >>> 0;
		const shifted = s[1]! << 9;
		s[2]! ^= s[0]!;
		s[3]! ^= s[1]!;
		s[1]! ^= s[2]!;
		s[0]! ^= s[3]!;
		s[2]! ^= shifted;
		s[3] = (s[3]! << 11) | (s[3]! >>> 21);
		return result;
	}

	/** Uniform in [0, 1), 32 bits of it. */
	next(): number {
		return this.next32() / 2 ** 32;
	}

	/** A whole number in 0 .. limit - 1; limit at most 2^32. */
	below(limit: number): number {
		return Math.floor(this.next() * limit);
	}

	/** A whole number in from .. to, both included, small ones as likely per octave as large ones. From 1 up. */
	logUniform(from: number, to: number): number {
		return Math.min(to, Math.floor(from * ((to + 1) / from) ** this.next()));
	}
}
