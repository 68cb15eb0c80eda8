/**
 * The finisher, `sifive,test0`: a write to its first word ends or resets the machine (QEMU hw/misc/sifive_test.c;
 * Linux drives it as a syscon or through the SBI).
 */
import type {AccessWidth, MmioDevice} from './bus.js';

/** Low half of the word; a failure carries an exit code in the high half. */
export const FINISHER_FAIL = 0x3333;
export const FINISHER_PASS = 0x5555;
export const FINISHER_RESET = 0x7777;

export type Finish = {kind: 'pass'} | {kind: 'fail'; code: number} | {kind: 'reset'};

export class Finisher implements MmioDevice {
	readonly #onFinish: (finish: Finish) => void;

	constructor(onFinish: (finish: Finish) => void) {
		this.#onFinish = onFinish;
	}

	read(_offset: number, _width: AccessWidth): number {
		return 0;
	}

	/** Anything that is none of the three words is ignored. */
	write(offset: number, width: AccessWidth, value: number): void {
		if (offset !== 0 || width === 1) {
			return;
		}
		const status = value & 0xffff;
		if (status === FINISHER_PASS) {
			this.#onFinish({kind: 'pass'});
		} else if (status === FINISHER_RESET) {
			this.#onFinish({kind: 'reset'});
		} else if (status === FINISHER_FAIL) {
			this.#onFinish({kind: 'fail', code: value >>> 16});
		}
	}
}
