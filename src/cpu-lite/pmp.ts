/**
 * Physical memory protection: 16 entries, grain 4 KiB, so that a page is either allowed or not. Firmware opens memory
 * to S-mode with it; without a matching entry S and U reach nothing. Source: priv 1.12 3.7.
 */
import {PMP_ENTRIES} from './csr-numbers.js';
import {ACCESS_FETCH, ACCESS_LOAD, PRV_M, type AccessKind, type PrivilegeMode} from './privilege.js';

const PMP_R = 1;
const PMP_W = 2;
const PMP_X = 4;
const PMP_A = 3 << 3;
const PMP_A_TOR = 1 << 3;
const PMP_A_NA4 = 2 << 3;
const PMP_A_NAPOT = 3 << 3;
const PMP_L = 1 << 7;
/** Bits 5 and 6 are reserved and read zero. */
const PMP_CONFIG_BITS = PMP_R | PMP_W | PMP_X | PMP_A | PMP_L;

/** G: the grain is 2^(G+2) bytes (3.7.1). */
const GRAIN = 10n;
const PAGE_OF_ADDRESS = 1n << GRAIN; // pmpaddr counts 4-byte words; one page is this many
const ADDRESS_MASK = (1n << 54n) - 1n;

/** A region in page numbers, half-open, and what it allows. */
interface PmpRegion {
	readonly config: number;
	readonly firstPage: number;
	readonly endPage: number;
}

export class Pmp {
	readonly #config = new Uint8Array(PMP_ENTRIES);
	readonly #address: bigint[] = new Array<bigint>(PMP_ENTRIES).fill(0n);
	/** Our own book-keeping: the active entries, lowest number first, derived at each write. */
	#regions: PmpRegion[] = [];

	/** A and L of every entry are 0 after reset (3.4); addresses too, so that runs repeat. */
	reset(): void {
		this.#config.fill(0);
		this.#address.fill(0n);
		this.#regions = [];
	}

	/** pmpcfg: eight entries' bytes from entry `first`. */
	readConfig(first: number): bigint {
		let value = 0n;
		for (let index = 7; index >= 0; index--) {
			value = (value << 8n) | BigInt(this.#config[first + index]!);
		}
		return value;
	}

	writeConfig(first: number, value: bigint): void {
		for (let index = 0; index < 8; index++) {
			if ((this.#config[first + index]! & PMP_L) !== 0) {
				continue; // locked until reset
			}
			let config = Number((value >> BigInt(8 * index)) & 0xffn) & PMP_CONFIG_BITS;
			if ((config & (PMP_R | PMP_W)) === PMP_W) {
				config &= ~PMP_W; // W without R is reserved
			}
			if ((config & PMP_A) === PMP_A_NA4) {
				config = (config & ~PMP_A) | (this.#config[first + index]! & PMP_A); // not selectable: G >= 1
			}
			this.#config[first + index] = config;
		}
		this.#derive();
	}

	/** pmpaddr: below the grain NAPOT reads ones and TOR or OFF zeros, whatever was written. */
	readAddress(index: number): bigint {
		const value = this.#address[index]!;
		return (this.#config[index]! & PMP_A) === PMP_A_NAPOT
			? value | (PAGE_OF_ADDRESS / 2n - 1n)
			: value & ~(PAGE_OF_ADDRESS - 1n);
	}

	writeAddress(index: number, value: bigint): void {
		const next = index + 1 < PMP_ENTRIES ? this.#config[index + 1]! : 0;
		const lockedByNext = (next & PMP_L) !== 0 && (next & PMP_A) === PMP_A_TOR;
		if ((this.#config[index]! & PMP_L) === 0 && !lockedByNext) {
			this.#address[index] = value & ADDRESS_MASK;
			this.#derive();
		}
	}

	/** True if an access of this kind and mode to the page that holds `address` is allowed. */
	allows(address: number, access: AccessKind, mode: PrivilegeMode): boolean {
		const page = Math.floor(address / 4096);
		for (const {config, firstPage, endPage} of this.#regions) {
			if (page >= firstPage && page < endPage) {
				if (mode === PRV_M && (config & PMP_L) === 0) {
					return true;
				}
				const wanted = access === ACCESS_FETCH ? PMP_X : access === ACCESS_LOAD ? PMP_R : PMP_W;
				return (config & wanted) !== 0;
			}
		}
		return mode === PRV_M;
	}

	#derive(): void {
		this.#regions = [];
		let previousEnd = 0;
		for (let index = 0; index < PMP_ENTRIES; index++) {
			const config = this.#config[index]!;
			const address = this.readAddress(index);
			const page = Number(address / PAGE_OF_ADDRESS);
			if ((config & PMP_A) === PMP_A_TOR) {
				this.#regions.push({config, firstPage: previousEnd, endPage: page});
			} else if ((config & PMP_A) === PMP_A_NAPOT) {
				// y...y01...1 with k ones is a region of 2^(k+1) words; at least a page, by the grain.
				const words = (address ^ (address + 1n)) + 1n;
				const pages = Number(words / PAGE_OF_ADDRESS);
				const first = Number((address & ~(words - 1n)) / PAGE_OF_ADDRESS);
				this.#regions.push({config, firstPage: first, endPage: first + pages});
			}
			previousEnd = page;
		}
	}
}
