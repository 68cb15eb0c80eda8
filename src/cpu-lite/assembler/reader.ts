/**
 * From source text to statements: comments, labels, and everything that decides which lines there are at all:
 * .include, .macro, .rept, .irp, .if. A generator, so that a condition sees the constants that were set before it.
 */
import {AssemblyError, StatementError, formatLocation, type Location} from './errors.js';
import {makeLine, splitLines, unsplit, type Line} from './lines.js';
import {MacroTable, splitArguments, substitute} from './macro.js';

export interface ReaderOptions {
	/** Text of an included file; undefined if there is none of that name. */
	include(name: string): string | undefined;
	/** Value of a constant expression, for .if and .rept. Throws StatementError. */
	evaluate(text: string): bigint;
	/** True if the symbol has been defined before this point. */
	isDefined(name: string): boolean;
	/** A line that cannot be expanded is reported, and reading goes on behind it. */
	report(error: StatementError, location: Location): void;
}

const MAX_DEPTH = 200;
const MAX_REPEATS = 1_000_000;

function firstWord(text: string): string {
	return /^[^\s,]*/.exec(text)![0];
}

function restOf(text: string): string {
	return text.slice(firstWord(text).length).trim();
}

const isConditional = (word: string): boolean => /^\.if/.test(word);
const isRepetition = (word: string): boolean => word === '.rept' || word === '.irp' || word === '.irpc';

/** Yields the statements of the source in order, with every macro, repetition and condition carried out. */
export class SourceReader {
	readonly #options: ReaderOptions;
	readonly #macros = new MacroTable();
	#depth = 0;

	constructor(options: ReaderOptions) {
		this.#options = options;
	}

	*read(lines: readonly Line[]): Generator<Line> {
		if (++this.#depth > MAX_DEPTH) {
			// Not to be reported and survived: a macro that calls itself twice would go on for 2^200 lines.
			const where = formatLocation(lines[0]!.location);
			throw new AssemblyError([`${where}: more than ${MAX_DEPTH} nested macros, repetitions or includes`]);
		}
		for (let index = 0; index < lines.length; index++) {
			const line = lines[index]!;
			try {
				index = yield* this.#expand(lines, index);
			} catch (error) {
				if (!(error instanceof StatementError)) {
					throw error;
				}
				this.#options.report(error, line.location);
			}
		}
		this.#depth--;
	}

	/** Yields what the line stands for; returns the index of the last line that belongs to it. */
	*#expand(lines: readonly Line[], index: number): Generator<Line, number> {
		const line = lines[index]!;
		const word = firstWord(line.text);
		const special =
			isConditional(word) ||
			isRepetition(word) ||
			word === '.macro' ||
			word === '.include' ||
			this.#macros.has(word);
		if (!special) {
			yield line;
			return index;
		}
		if (line.labels.length > 0) {
			yield {...line, text: ''};
		}
		if (isConditional(word)) {
			return yield* this.#conditional(lines, index);
		}
		if (word === '.macro') {
			const end = findEnd(lines, index, (other) => other === '.macro', '.endm');
			this.#macros.define(restOf(line.text), lines.slice(index + 1, end));
			return end;
		}
		if (isRepetition(word)) {
			const end = findEnd(lines, index, isRepetition, '.endr');
			yield* this.#repeat(word, line, lines.slice(index + 1, end));
			return end;
		}
		if (word === '.include') {
			yield* this.#include(line);
			return index;
		}
		yield* this.read(this.#macros.instantiate(word, restOf(line.text), line.location));
		return index;
	}

	*#include(line: Line): Generator<Line> {
		const name = /^"([^"]+)"$/.exec(restOf(line.text))?.[1];
		if (name === undefined) {
			throw new StatementError('.include takes a file name in quotes');
		}
		const source = this.#options.include(name);
		if (source === undefined) {
			throw new StatementError(`cannot find "${name}"`);
		}
		yield* this.read(splitLines(source, name));
	}

	*#repeat(word: string, line: Line, body: readonly Line[]): Generator<Line> {
		if (word === '.rept') {
			const count = this.#options.evaluate(restOf(line.text));
			if (count < 0n || count > MAX_REPEATS) {
				throw new StatementError(`.rept ${count} is not in 0..${MAX_REPEATS}`);
			}
			for (let round = 0n; round < count; round++) {
				yield* this.read(body);
			}
			return;
		}
		const [name, ...values] = splitArguments(restOf(line.text));
		if (name === undefined || !/^[A-Za-z_]\w*$/.test(name)) {
			throw new StatementError(`${word} takes a name and values`);
		}
		const items = word === '.irpc' ? [...values.join(',')] : values;
		for (const value of items) {
			const values = new Map([[name, value]]);
			yield* this.read(body.map((inner) => makeLine(substitute(unsplit(inner), values), inner.location)));
		}
	}

	*#conditional(lines: readonly Line[], start: number): Generator<Line, number> {
		const end = findEnd(lines, start, isConditional, '.endif');
		// Borders of the branches: .if, .elseif..., .else, .endif on this level.
		const borders = [start];
		for (let index = start + 1, depth = 0; index < end; index++) {
			const word = firstWord(lines[index]!.text);
			depth += isConditional(word) ? 1 : word === '.endif' ? -1 : 0;
			if (depth === 0 && (word === '.else' || word === '.elseif')) {
				borders.push(index);
			}
		}
		borders.push(end);
		for (let branch = 0; branch + 1 < borders.length; branch++) {
			if (this.#holds(lines[borders[branch]!]!)) {
				yield* this.read(lines.slice(borders[branch]! + 1, borders[branch + 1]));
				break;
			}
		}
		return end;
	}

	#holds(line: Line): boolean {
		const condition = restOf(line.text);
		const word = firstWord(line.text);
		const value = (): bigint => this.#options.evaluate(condition);
		switch (word) {
			case '.else':
				return true;
			case '.if':
			case '.elseif':
			case '.ifne':
				return value() !== 0n;
			case '.ifeq':
				return value() === 0n;
			case '.ifgt':
				return value() > 0n;
			case '.ifge':
				return value() >= 0n;
			case '.iflt':
				return value() < 0n;
			case '.ifle':
				return value() <= 0n;
			case '.ifdef':
				return this.#options.isDefined(condition);
			case '.ifndef':
				return !this.#options.isDefined(condition);
			case '.ifb':
				return condition === '';
			case '.ifnb':
				return condition !== '';
			case '.ifc':
			case '.ifnc': {
				const [left, right] = splitArguments(condition);
				return (left === right) === (word === '.ifc');
			}
			default:
				throw new StatementError(`unknown directive ${word}`);
		}
	}
}

/** Index of the line that closes the block which starts at `start`. */
function findEnd(
	lines: readonly Line[],
	start: number,
	opens: (word: string) => boolean,
	close: string,
): number {
	let depth = 0;
	for (let index = start; index < lines.length; index++) {
		const word = firstWord(lines[index]!.text);
		depth += opens(word) ? 1 : word === close ? -1 : 0;
		if (depth === 0) {
			return index;
		}
	}
	throw new StatementError(
		`${firstWord(lines[start]!.text)} without ${close} (${formatLocation(lines[start]!.location)})`,
	);
}
