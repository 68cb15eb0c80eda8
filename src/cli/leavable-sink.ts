/** A sink whose reader may leave: that is the reader's way of saying "enough", and no failure of ours. */
import type {ByteSink} from '../inspect/pcapng-writer.js';
import {BrokenPipeError} from './fd-output.js';

/** Passes bytes on until the reader leaves; what comes afterwards is dropped, in the middle of an event as well. */
export class LeavableSink implements ByteSink {
	broken = false;
	readonly #sink: ByteSink;

	constructor(sink: ByteSink) {
		this.#sink = sink;
	}

	write(bytes: Uint8Array): void {
		if (this.broken) {
			return;
		}
		try {
			this.#sink.write(bytes);
		} catch (error) {
			if (!(error instanceof BrokenPipeError)) {
				throw error;
			}
			this.broken = true;
		}
	}
}
