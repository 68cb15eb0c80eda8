/** Macros: `.macro name a, b=default, c:req, rest:vararg`, with \a, \() and \@ in the body. */
import {StatementError, type Location} from './errors.js';
import {makeLine, unsplit, type Line} from './lines.js';

interface Parameter {
	readonly name: string;
	readonly required: boolean;
	readonly vararg: boolean;
	readonly default: string;
}

interface Macro {
	readonly name: string;
	readonly parameters: readonly Parameter[];
	readonly body: readonly Line[];
}

/** Splits at commas that are in no bracket and no string. */
export function splitArguments(text: string): string[] {
	const parts: string[] = [];
	let depth = 0;
	let part = '';
	for (const [piece] of text.matchAll(/"(?:\\.|[^"\\])*"|'(?:\\.|[^\\])'|[^]/g)) {
		depth += piece === '(' ? 1 : piece === ')' ? -1 : 0;
		if (piece === ',' && depth === 0) {
			parts.push(part.trim());
			part = '';
		} else {
			part += piece;
		}
	}
	if (part.trim() !== '' || parts.length > 0) {
		parts.push(part.trim());
	}
	return parts;
}

/** Replaces \name by its value; \() is nothing and ends a name; an unknown \name stays. */
export function substitute(text: string, values: ReadonlyMap<string, string>): string {
	return text.replace(/\\(\(\)|@|[A-Za-z_]\w*)/g, (whole, name: string) =>
		name === '()' ? '' : (values.get(name) ?? whole),
	);
}

export class MacroTable {
	readonly #macros = new Map<string, Macro>();
	#calls = 0;

	has(name: string): boolean {
		return this.#macros.has(name);
	}

	/** `header` is what follows .macro. */
	define(header: string, body: readonly Line[]): void {
		const match = /^([A-Za-z_.$][\w.$]*)\s*,?\s*(.*)$/s.exec(header);
		if (match === null) {
			throw new StatementError('.macro takes a name');
		}
		const [, name, rest] = match as unknown as [string, string, string];
		const words = rest.includes(',') ? splitArguments(rest) : rest.split(/\s+/).filter((word) => word !== '');
		this.#macros.set(name, {name, parameters: words.map(parseParameter), body});
	}

	/** The lines of one call. */
	instantiate(name: string, argumentText: string, calledAt: Location): Line[] {
		const macro = this.#macros.get(name)!;
		const values = bindArguments(macro, splitArguments(argumentText));
		values.set('@', String(this.#calls++));
		return macro.body.map((line) =>
			makeLine(substitute(unsplit(line), values), {...line.location, macro: {name, calledAt}}),
		);
	}
}

function parseParameter(text: string): Parameter {
	const match = /^([A-Za-z_]\w*)(?:\s*:\s*(req|vararg))?(?:\s*=\s*(.*))?$/s.exec(text);
	if (match === null) {
		throw new StatementError(`"${text}" is not a macro parameter`);
	}
	return {
		name: match[1]!,
		required: match[2] === 'req',
		vararg: match[2] === 'vararg',
		default: match[3] ?? '',
	};
}

function bindArguments({name, parameters}: Macro, given: readonly string[]): Map<string, string> {
	const values = new Map(parameters.map((parameter) => [parameter.name, parameter.default]));
	let position = 0;
	for (const [index, text] of given.entries()) {
		const keyword = /^([A-Za-z_]\w*)\s*=(?!=)\s*(.*)$/s.exec(text);
		if (keyword !== null && values.has(keyword[1]!)) {
			values.set(keyword[1]!, keyword[2]!);
			continue;
		}
		const parameter = parameters[position++];
		if (parameter === undefined) {
			throw new StatementError(`macro ${name} takes ${parameters.length} arguments, not ${given.length}`);
		}
		if (parameter.vararg) {
			values.set(parameter.name, given.slice(index).join(', '));
			break;
		}
		if (text !== '') {
			values.set(parameter.name, text);
		}
	}
	for (const parameter of parameters) {
		if (parameter.required && values.get(parameter.name) === '') {
			throw new StatementError(`macro ${name} needs the argument ${parameter.name}`);
		}
	}
	return values;
}
