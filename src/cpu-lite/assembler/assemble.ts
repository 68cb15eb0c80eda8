/**
 * The assembler: GNU-as-like source for the instruction table, laid out at an address. There is no linker: a program is
 * one source (with its includes), and every symbol is absolute in the end. Source of syntax: GNU as manual (RISC-V
 * dependent features) and the RISC-V assembly programmer's manual.
 *
 * Inaccuracies: `.option relax` does nothing, so call and la keep their full length; conditions (.if, .rept) can only
 * use constants, not distances between labels; `.weak` and sizes of symbols are accepted and forgotten.
 */
import {AssemblyError, StatementError} from './errors.js';
import {LabelStatement, Layout} from './layout.js';
import {formatListing, type ListedStatement} from './listing.js';
import {Parser} from './parser.js';
import type {Section} from './statement.js';

export {AssemblyError} from './errors.js';

export interface AssembleOptions {
	/** Name of the source in messages; default `source`. */
	readonly file?: string;
	/** Address of the first section; default 0. */
	readonly origin?: number;
	/** Text of a file that is included; by default there are none. */
	readonly include?: (name: string) => string | undefined;
	/** Symbols defined beforehand, as by the GNU assembler's --defsym. */
	readonly symbols?: Readonly<Record<string, number | bigint>>;
	/** Start with `.option rvc`: choose compressed instructions where they fit. Default false. */
	readonly compress?: boolean;
}

export interface AssembledSection {
	readonly name: string;
	readonly address: number;
	readonly sizeBytes: number;
	/** Empty for a section without bits (.bss). */
	readonly bytes: Uint8Array;
}

export interface Assembly {
	/** Non-empty sections, by address: text, rodata, others, data, bss. */
	readonly sections: readonly AssembledSection[];
	/** Address of the first byte of `image`. */
	readonly origin: number;
	/** Everything but .bss as it lies in memory, gaps between sections zero. */
	readonly image: Uint8Array;
	/** Bytes from the origin to the end of the last section, .bss included. */
	readonly memorySizeBytes: number;
	/** Values as 64-bit two's complement numbers are written, e.g. negative for .equ X, -1. Without numeric labels. */
	readonly symbols: ReadonlyMap<string, bigint>;
	readonly globals: ReadonlySet<string>;
	/** Address of a label; throws AssemblyError if there is none. */
	address(symbol: string): number;
	/** Address, bytes and source of every statement, a line each. */
	listing(): string;
}

/** Assembles a source. Throws AssemblyError that lists every mistake as `file:line: what`. */
export function assemble(source: string, options: AssembleOptions = {}): Assembly {
	const predefined = new Map(
		Object.entries(options.symbols ?? {}).map(([name, value]) => [name, BigInt(value)] as const),
	);
	const file = options.file ?? 'source';
	const parser = new Parser({
		include: options.include ?? (() => undefined),
		symbols: predefined,
		compress: options.compress ?? false,
	});
	parser.parse(source, file);
	throwProblems(parser);

	const origin = options.origin ?? 0;
	const layout = new Layout(parser.statements, [...parser.sections.values()], BigInt(origin), predefined);
	try {
		layout.settle();
	} catch (error) {
		parser.report(asStatementError(error), {file, line: 0});
	}
	throwProblems(parser);
	const listed = emitAll(parser, layout);
	throwProblems(parser);
	return makeAssembly(parser, layout, listed);
}

function throwProblems({problems}: Parser): void {
	if (problems.length > 0) {
		throw new AssemblyError(problems);
	}
}

function asStatementError(error: unknown): StatementError {
	if (error instanceof StatementError) {
		return error;
	}
	throw error;
}

/** The bytes of every statement; mistakes go to the parser's list. */
function emitAll(parser: Parser, layout: Layout): ListedStatement[] {
	return parser.statements.map((source) => {
		const {statement, section, location} = source;
		const address = layout.addressOf(source);
		const env = layout.environment(address);
		let bytes = new Uint8Array(0);
		try {
			if (statement instanceof LabelStatement) {
				layout.define(statement, env);
			}
			bytes = new Uint8Array(statement.emit(env));
			if (section.noBits && bytes.some((byte) => byte !== 0)) {
				throw new StatementError(`section ${section.name} can only hold zeros`);
			}
		} catch (error) {
			parser.report(asStatementError(error), location);
		}
		return {source, address, bytes};
	});
}

function makeAssembly(parser: Parser, layout: Layout, listed: readonly ListedStatement[]): Assembly {
	const sections = layout.sections.filter(({sizeBytes}) => sizeBytes > 0);
	const origin = Number(sections[0]?.base ?? 0n);
	const contents = new Map(sections.map((section) => [section, sectionBytes(section, listed)]));
	const assembled = sections.map((section): AssembledSection => {
		const {name, base, sizeBytes, noBits} = section;
		return {
			name,
			address: Number(base),
			sizeBytes,
			bytes: noBits ? new Uint8Array(0) : contents.get(section)!,
		};
	});
	const end = (section: AssembledSection): number => section.address + section.sizeBytes - origin;
	const inImage = assembled.filter(({bytes}) => bytes.length > 0);
	const image = new Uint8Array(Math.max(0, ...inImage.map(end)));
	for (const {address, bytes} of inImage) {
		image.set(bytes, address - origin);
	}
	const symbols = new Map([...layout.symbols].filter(([name]) => !name.includes('#')));
	return {
		sections: assembled,
		origin,
		image,
		memorySizeBytes: Math.max(0, ...assembled.map(end)),
		symbols,
		globals: parser.globals,
		address(symbol) {
			const value = symbols.get(symbol);
			if (value === undefined) {
				throw new AssemblyError([`no symbol "${symbol}"`]);
			}
			return Number(value);
		},
		listing: () => formatListing(listed),
	};
}

function sectionBytes(section: Section, listed: readonly ListedStatement[]): Uint8Array {
	const bytes = new Uint8Array(section.noBits ? 0 : section.sizeBytes);
	for (const {source, bytes: part} of listed) {
		if (source.section === section && !section.noBits) {
			bytes.set(part, source.offset);
		}
	}
	return bytes;
}
