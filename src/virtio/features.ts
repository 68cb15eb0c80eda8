/** A set of feature bits, VIRTIO 1.4 2.2: numbered 0..127, seen by the driver as 32-bit words behind a selector. */
import {Bits} from '../bits.js';
import {FEATURE_BITS} from './spec.js';

const WORD_BITS = 32;

export class FeatureSet {
	readonly #bits = Bits.zeros(FEATURE_BITS);

	static of(...bits: number[]): FeatureSet {
		const set = new FeatureSet();
		for (const bit of bits) {
			set.#bits.put(bit, true);
		}
		return set;
	}

	has(bit: number): boolean {
		return this.#bits.has(bit);
	}

	/** Bits select * 32 .. select * 32 + 31; 0 where there are none. */
	word(select: number): number {
		return select < FEATURE_BITS / WORD_BITS ? this.#bits.get(select * WORD_BITS, WORD_BITS) : 0;
	}

	setWord(select: number, value: number): void {
		if (select < FEATURE_BITS / WORD_BITS) {
			this.#bits.set(select * WORD_BITS, WORD_BITS, value);
		}
	}

	clear(): void {
		this.#bits.bytes.fill(0);
	}

	/** True if the other set has every bit of this one. */
	isSubsetOf(other: FeatureSet): boolean {
		return this.#bits.bytes.every((byte, at) => (byte & ~other.#bits.bytes[at]!) === 0);
	}

	/** Bit n of the number is feature n. */
	toBigInt(): bigint {
		return this.#bits.bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
	}
}
