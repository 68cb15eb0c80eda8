/**
 * A guest's serial console on our standard streams: what the guest sends goes out, what a person types goes in. On a
 * terminal the keyboard is raw, and Ctrl-A x quits (Ctrl-A twice sends one), as with QEMU's -nographic.
 */
import type {Uart} from '../board/uart.js';

const CTRL_A = 0x01;
const KEY_X = 0x78;

export class Console {
	/** The person asked to quit. */
	quit = false;
	/** Bytes that the guest has sent and nobody has printed yet. */
	#pending: number[] = [];
	#uart: Uart | undefined;
	#escaped = false;
	readonly #out: NodeJS.WriteStream;
	readonly #in = process.stdin;
	readonly #onData = (data: Buffer) => this.#typed(data);

	constructor(out: NodeJS.WriteStream) {
		this.#out = out;
	}

	/** For the machine: one byte from the guest. */
	readonly transmit = (byte: number): void => {
		this.#pending.push(byte);
	};

	/** Begins to read the keyboard, or whatever standard input is. */
	attach(uart: Uart): void {
		this.#uart = uart;
		if (this.interactive) {
			this.#in.setRawMode(true);
		}
		this.#in.on('data', this.#onData);
		this.#in.resume();
	}

	/** A person sits at a terminal. */
	get interactive(): boolean {
		return this.#in.isTTY === true;
	}

	/** Prints what the guest has sent since. */
	flush(): void {
		if (this.#pending.length > 0) {
			this.#out.write(Uint8Array.from(this.#pending));
			this.#pending = [];
		}
	}

	/** Prints the rest and leaves the terminal as it was; may be called again. */
	close(): void {
		this.flush();
		this.#in.off('data', this.#onData);
		if (this.#uart !== undefined && this.interactive) {
			this.#in.setRawMode(false);
		}
		this.#in.pause();
	}

	#typed(data: Buffer): void {
		const bytes: number[] = [];
		for (const byte of data) {
			if (this.interactive && this.#escaped) {
				this.#escaped = false;
				if (byte === KEY_X) {
					this.quit = true;
				} else if (byte === CTRL_A) {
					bytes.push(byte);
				}
			} else if (this.interactive && byte === CTRL_A) {
				this.#escaped = true;
			} else {
				bytes.push(byte);
			}
		}
		this.#uart?.receive(bytes);
	}
}
