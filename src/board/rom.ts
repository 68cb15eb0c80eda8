/** Read-only memory on the bus: the boot ROM with the device tree behind its code. Writes are ignored. */
import {assert} from '../errors.js';
import type {AccessWidth, MmioDevice} from './bus.js';

export class Rom implements MmioDevice {
	readonly #view: DataView;

	/** `parts` lie at their offsets in `sizeBytes` bytes; the rest is zero. */
	constructor(sizeBytes: number, parts: readonly {offset: number; bytes: Uint8Array}[]) {
		const contents = new Uint8Array(sizeBytes);
		for (const {offset, bytes} of parts) {
			assert(offset + bytes.length <= sizeBytes, 'the contents of a ROM fit into it');
			contents.set(bytes, offset);
		}
		this.#view = new DataView(contents.buffer);
	}

	read(offset: number, width: AccessWidth): number {
		switch (width) {
			case 1:
				return this.#view.getUint8(offset);
			case 2:
				return this.#view.getUint16(offset, true);
			default:
				return this.#view.getUint32(offset, true);
		}
	}

	write(_offset: number, _width: AccessWidth, _value: number): void {}
}
