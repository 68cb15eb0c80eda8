/** Where a statement stands, and the error that names it. */
import {VmsimError} from '../../errors.js';

export interface Location {
	readonly file: string;
	readonly line: number;
	/** The macro that the line is from, and where it was called. */
	readonly macro?: {readonly name: string; readonly calledAt: Location} | undefined;
}

export function formatLocation({file, line, macro}: Location): string {
	const here = `${file}:${line}`;
	return macro === undefined
		? here
		: `${here} (in macro ${macro.name}, called at ${formatLocation(macro.calledAt)})`;
}

/** A mistake in one statement; `parse` and layout collect them into an AssemblyError. */
export class StatementError extends Error {
	override name = 'StatementError';
	readonly location: Location | undefined;

	constructor(message: string, location?: Location) {
		super(message);
		this.location = location;
	}
}

/** Everything that is wrong with a source, one `file:line: message` per line. Code ASSEMBLY. */
export class AssemblyError extends VmsimError {
	override name = 'AssemblyError';

	constructor(problems: readonly string[]) {
		super('ASSEMBLY', problems.join('\n'), {problems});
	}
}
