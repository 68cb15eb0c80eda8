/** Ctrl-C: the first asks the run to end with its summary, the second ends the process. */
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
