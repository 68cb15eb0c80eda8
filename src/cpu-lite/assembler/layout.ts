/**
 * Addresses: every statement is measured again and again with the addresses of the pass before, until nothing moves.
 * It settles because a statement whose length depends on distances only ever grows.
 */
import {StatementError} from './errors.js';
import {UndefinedSymbol, type Environment, type Expression} from './expression.js';
import {InstructionStatement} from './instruction-statement.js';
import type {Section, SourceStatement, Statement} from './statement.js';

/** Sections are placed at multiples of this, or of their own alignment. */
const SECTION_ALIGNMENT = 8;
const MAX_PASSES = 100;

/** Order in the image; among equals the one that is mentioned first. */
function rank({name, noBits}: Section): number {
	const order = ['.text', '.rodata', '', '.data'];
	const found = order.findIndex(
		(prefix) => prefix !== '' && (name === prefix || name.startsWith(`${prefix}.`)),
	);
	return noBits ? order.length : found < 0 ? order.indexOf('') : found;
}

function alignUp(value: bigint, alignment: bigint): bigint {
	return ((value + alignment - 1n) / alignment) * alignment;
}

/** A label: takes no room, and its value is where it stands. */
export class LabelStatement implements Statement {
	readonly name: string;

	constructor(name: string) {
		this.name = name;
	}

	measure(): number {
		return 0;
	}

	emit(_env: Environment): Uint8Array {
		return new Uint8Array(0);
	}
}

/** `.equ name, expression`: takes no room. */
export class SetStatement extends LabelStatement {
	readonly expression: Expression;

	constructor(name: string, expression: Expression) {
		super(name);
		this.expression = expression;
	}

	/** Throws if the expression has no value even now that everything has its place. */
	override emit(env: Environment): Uint8Array {
		this.expression(env);
		return super.emit(env);
	}
}

export class Layout {
	readonly #statements: readonly SourceStatement[];
	readonly #sections: readonly Section[];
	readonly #origin: bigint;
	readonly symbols: Map<string, bigint>;
	readonly #pcrelTargets = new Map<bigint, bigint>();
	/** What each definition gave in the last pass: a symbol that is set more than once has several values in a pass. */
	readonly #values = new Map<LabelStatement, bigint>();

	constructor(
		statements: readonly SourceStatement[],
		sections: readonly Section[],
		origin: bigint,
		symbols: ReadonlyMap<string, bigint>,
	) {
		this.#statements = statements;
		this.#sections = [...sections].sort((a, b) => rank(a) - rank(b));
		this.#origin = origin;
		this.symbols = new Map(symbols);
	}

	/** The sections in the order of their addresses. */
	get sections(): readonly Section[] {
		return this.#sections;
	}

	/** Gives every statement, section and symbol its address. Throws StatementError if that has no end. */
	settle(): void {
		this.#placeSections();
		for (let pass = 0; pass < MAX_PASSES; pass++) {
			if (!this.#pass()) {
				return;
			}
		}
		throw new StatementError(
			`addresses do not settle in ${MAX_PASSES} passes: something depends on its own size`,
		);
	}

	/** Address of a statement. */
	addressOf({section, offset}: SourceStatement): bigint {
		return section.base + BigInt(offset);
	}

	/** What expressions see at a statement. */
	environment(here: bigint): Environment {
		const {symbols} = this;
		const targets = this.#pcrelTargets;
		return {
			here,
			symbol(name) {
				const value = symbols.get(name);
				if (value === undefined) {
					throw new UndefinedSymbol(`undefined symbol "${name.replace(/#.*/, '')}"`);
				}
				return value;
			},
			pcrelTarget: (address) => targets.get(address),
		};
	}

	/** Measures everything once; true if something is not where it was before. */
	#pass(): boolean {
		let moved = false;
		for (const section of this.#sections) {
			section.sizeBytes = 0;
		}
		for (const source of this.#statements) {
			const {section, statement} = source;
			moved ||= source.offset !== section.sizeBytes;
			source.offset = section.sizeBytes;
			const env = this.environment(this.addressOf(source));
			if (statement instanceof LabelStatement) {
				moved = this.define(statement, env) || moved;
				continue;
			}
			const sizeBytes = known(() => statement.measure(env)) ?? 0;
			moved ||= source.sizeBytes !== sizeBytes;
			source.sizeBytes = sizeBytes;
			section.sizeBytes += sizeBytes;
			if (statement instanceof InstructionStatement) {
				moved = this.#notePcrel(statement, env) || moved;
			}
		}
		return this.#placeSections() || moved;
	}

	/** Gives a symbol the value of a definition; true if it is another one than this definition gave before. */
	define(statement: LabelStatement, env: Environment): boolean {
		const value = statement instanceof SetStatement ? known(() => statement.expression(env)) : env.here;
		if (value === undefined) {
			return false;
		}
		const moved = this.#values.get(statement) !== value;
		this.#values.set(statement, value);
		this.symbols.set(statement.name, value);
		return moved;
	}

	#notePcrel({pcrelOperand}: InstructionStatement, env: Environment): boolean {
		const target = pcrelOperand && known(() => pcrelOperand(env));
		const changed = target !== undefined && this.#pcrelTargets.get(env.here) !== target;
		if (target !== undefined) {
			this.#pcrelTargets.set(env.here, target);
		}
		return changed;
	}

	/** Puts the sections one behind the other; true if one has moved. */
	#placeSections(): boolean {
		let next = this.#origin;
		let moved = false;
		for (const [index, section] of this.#sections.entries()) {
			const alignment = Math.max(section.alignment, index === 0 ? 1 : SECTION_ALIGNMENT);
			const base = alignUp(next, BigInt(alignment));
			moved ||= base !== section.base;
			section.base = base;
			next = base + BigInt(section.sizeBytes);
		}
		return moved;
	}
}

/** A value, or undefined if it depends on a symbol that has none yet. Other mistakes are found again in emit. */
function known<T>(evaluate: () => T): T | undefined {
	try {
		return evaluate();
	} catch (error) {
		if (error instanceof StatementError) {
			return undefined;
		}
		throw error;
	}
}
