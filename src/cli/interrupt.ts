/** What ends a run from outside. Ctrl-C: the first asks the run to end with its summary, the second ends the process. */
import type {StopRequest} from '../run-result.js';

const EXIT_INTERRUPTED = 130;

export class Interrupt {
	requested = false;

	constructor() {
		process.on('SIGINT', () => {
			if (this.requested) {
				process.exit(EXIT_INTERRUPTED);
			}
			this.requested = true;
		});
	}
}

/** Hands on what the outputs have buffered, and asks for the end if somebody pressed Ctrl-C or reads no more. */
export function stopRequest(
	interrupt: Interrupt,
	...outputs: readonly ({flush(): boolean} | undefined)[]
): StopRequest | undefined {
	const read = outputs.map((output) => output?.flush() ?? true);
	return interrupt.requested ? 'interrupted' : read.every((goesOn) => goesOn) ? undefined : 'reader-left';
}
