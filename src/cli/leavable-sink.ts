/** A sink whose reader may leave: that is the reader's way of saying "enough", and no failure of ours. */
import type {ByteSink} from '../inspect/pcapng-writer.js';
import {BrokenPipeError} from './fd-output.js';

/** Passes bytes on until the reader leaves; what comes afterwards is dropped, in the middle of an event as well. */
export class LeavableSink implements ByteSink {
	broken = false;
	#failed = false;
	readonly #sink: ByteSink;
	readonly #onFailure: (error: unknown) => void;

	/** `onFailure` gets what else the sink throws, once: after that nothing is written any more. Default: throws it. */
	constructor(
		sink: ByteSink,
		onFailure: (error: unknown) => void = (error) => {
			throw error;
		},
	) {
		this.#sink = sink;
		this.#onFailure = onFailure;
	}

	write(bytes: Uint8Array): void {
		if (this.broken || this.#failed) {
			return;
		}
		try {
			this.#sink.write(bytes);
		} catch (error) {
			if (error instanceof BrokenPipeError) {
				this.broken = true;
			} else {
				this.#failed = true;
				this.#onFailure(error);
			}
		}
	}
}
