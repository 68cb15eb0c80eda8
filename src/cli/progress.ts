/** How far a long command is: one line on a terminal's standard error, nothing for a log, a program or a CI machine. */

export interface Progress {
	/** Takes the place of what was shown before. */
	show(text: string): void;
	/** Leaves no trace; may be called again. */
	close(): void;
}

const CLEAR_LINE = '\r\x1b[K';
const SILENT: Progress = {show() {}, close() {}};

type Out = Pick<NodeJS.WriteStream, 'isTTY' | 'write'>;

/** `quiet`: the result is for a program. */
export function openProgress(out: Out, quiet: boolean, env: NodeJS.ProcessEnv = process.env): Progress {
	const isCi = !['', 'false', undefined].includes(env['CI']);
	if (quiet || isCi || out.isTTY !== true) {
		return SILENT;
	}
	let shown = '';
	const replace = (text: string): void => {
		if (text !== shown) {
			shown = text;
			out.write(`${CLEAR_LINE}${text}`);
		}
	};
	return {show: replace, close: () => replace('')};
}
