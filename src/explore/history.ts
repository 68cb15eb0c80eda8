/**
 * What has happened so far, up to the order of steps that do not touch the same things: the happens-before relation of
 * a schedule, as one number. Two schedules with equal histories have led to the same state, so only one of them needs
 * to be continued. Mazurkiewicz traces; M. Musuvathi and S. Qadeer, "Partial-order reduction for context-bounded state
 * exploration" (MSR-TR-2007-12), which is why it goes together with a bound on preemptions and sleep sets do not.
 *
 * Objects are bits of a mask: a step touches a set of them. Nothing tells reads from writes: coarse, and safe.
 */

/** A step that may have touched anything. */
export const EVERYTHING = 0x7fff_ffff;

const OBJECTS = 31;

export class History {
	/** The last step on each object and of each thread, by the two halves of its hash. */
	readonly #objectHigh = new Uint32Array(OBJECTS);
	readonly #objectLow = new Uint32Array(OBJECTS);
	readonly #threadHigh: Uint32Array;
	readonly #threadLow: Uint32Array;
	#sumHigh = 0;
	#sumLow = 0;

	constructor(threads: number) {
		this.#threadHigh = new Uint32Array(threads);
		this.#threadLow = new Uint32Array(threads);
	}

	/** The thread did its next step, and touched these objects. */
	add(thread: number, touched: number): void {
		let high = mix(this.#threadHigh[thread]!, thread + 1);
		let low = mix(this.#threadLow[thread]!, thread + 0x51ed_270b);
		for (let rest = touched; rest !== 0; rest &= rest - 1) {
			const object = 31 - Math.clz32(rest & -rest);
			high = mix(high ^ this.#objectHigh[object]!, object);
			low = mix(low ^ this.#objectLow[object]!, object + 77);
		}
		for (let rest = touched; rest !== 0; rest &= rest - 1) {
			const object = 31 - Math.clz32(rest & -rest);
			this.#objectHigh[object] = high;
			this.#objectLow[object] = low;
		}
		this.#threadHigh[thread] = high;
		this.#threadLow[thread] = low;
		// A sum: the set of steps counts, each of which knows what it came after.
		this.#sumHigh = (this.#sumHigh + high) >>> 0;
		this.#sumLow = (this.#sumLow + low) >>> 0;
	}

	/** 53 bits of it, together with which thread ran last. */
	key(lastThread: number): number {
		const high = mix(this.#sumHigh, lastThread + 3);
		return high * 2 ** 21 + (mix(this.#sumLow, lastThread + 5) >>> 11);
	}
}

/** One round of MurmurHash3 and its finalizer. */
function mix(hash: number, value: number): number {
	let k = Math.imul(value ^ 0x9e37_79b9, 0xcc9e_2d51);
	k = Math.imul((k << 15) | (k >>> 17), 0x1b87_3593);
	let h = hash ^ k;
	h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe654_6b64) | 0;
	h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
	h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
	return (h ^ (h >>> 16)) >>> 0;
}
