/** One source, statement by statement, into what the layout works with; keeps the state that directives change. */
import {StatementError, formatLocation, type Location} from './errors.js';
import type {DirectiveContext} from './directive-context.js';
import {findDirective} from './directives.js';
import {UndefinedSymbol, parseExpression, type Environment, type Expression} from './expression.js';
import {LabelStatement, SetStatement} from './layout.js';
import {splitLines, type Line} from './lines.js';
import {isMnemonic, parseInstruction} from './mnemonics.js';
import {SourceReader} from './reader.js';
import type {Section, SourceStatement, Statement} from './statement.js';
import {TokenCursor, tokenize} from './tokens.js';

const MAX_PROBLEMS = 20;

export interface ParserOptions {
	readonly include: (name: string) => string | undefined;
	readonly symbols: ReadonlyMap<string, bigint>;
	readonly compress: boolean;
}

export class Parser implements DirectiveContext {
	readonly statements: SourceStatement[] = [];
	readonly sections = new Map<string, Section>();
	readonly globals = new Set<string>();
	readonly problems: string[] = [];
	compress: boolean;

	readonly #include: (name: string) => string | undefined;
	/** Symbols whose value is known before layout: what .if and .rept may use. */
	readonly #constants: Map<string, bigint>;
	/** Labels and .equiv symbols, which have one definition. */
	readonly #fixed = new Set<string>();
	readonly #redefinable = new Set<string>();
	/** How many times each numeric label has been defined so far. */
	readonly #localCounts = new Map<string, number>();
	#section: Section;
	readonly #sectionStack: Section[] = [];
	readonly #optionStack: boolean[] = [];
	#line: Line = {text: '', labels: [], location: {file: '', line: 0}};

	constructor({include, symbols, compress}: ParserOptions) {
		this.#include = include;
		this.#constants = new Map(symbols);
		this.compress = compress;
		this.#section = this.#findSection('.text', false);
	}

	parse(source: string, file: string): void {
		const reader = new SourceReader({
			include: this.#include,
			evaluate: (text) => {
				const cursor = new TokenCursor(tokenize(text));
				const value = this.evaluate(parseExpression(cursor, this.resolveLocal));
				cursor.expectEnd();
				return value;
			},
			isDefined: (name) => this.#constants.has(name) || this.#fixed.has(name) || this.#redefinable.has(name),
			report: (error, location) => this.report(error, location),
		});
		for (const line of reader.read(splitLines(source, file))) {
			this.#line = line;
			try {
				this.#parseLine(line);
			} catch (error) {
				if (!(error instanceof StatementError)) {
					throw error;
				}
				this.report(error, line.location);
			}
		}
	}

	report(error: StatementError, location: Location): void {
		if (this.problems.length < MAX_PROBLEMS) {
			this.problems.push(`${formatLocation(location)}: ${error.message}`);
		}
	}

	#parseLine({text, labels}: Line): void {
		for (const label of labels) {
			this.#defineLabel(label);
		}
		const assignment = /^([A-Za-z_.$][\w.$]*)\s*=(?!=)(.*)$/s.exec(text);
		if (assignment !== null) {
			const cursor = new TokenCursor(tokenize(assignment[2]!));
			this.set(assignment[1]!, parseExpression(cursor, this.resolveLocal), true);
			cursor.expectEnd();
			return;
		}
		const word = /^[^\s,]*/.exec(text)![0];
		const rest = text.slice(word.length);
		if (word === '') {
			return;
		}
		if (isMnemonic(word)) {
			this.add(parseInstruction(word, tokenize(rest), this.resolveLocal, this.compress));
			return;
		}
		const directive = findDirective(word);
		if (directive === undefined) {
			throw new StatementError(
				`unknown ${word.startsWith('.') ? 'directive' : 'instruction or macro'} "${word}"`,
			);
		}
		const cursor = new TokenCursor(tokenize(rest));
		directive(cursor, this);
		cursor.expectEnd();
	}

	#defineLabel(label: string): void {
		if (/^[0-9]/.test(label)) {
			const count = (this.#localCounts.get(label) ?? 0) + 1;
			this.#localCounts.set(label, count);
			this.add(new LabelStatement(`${label}#${count}`), `${label}:`);
			return;
		}
		this.#claim(label);
		this.add(new LabelStatement(label), `${label}:`);
	}

	#claim(name: string): void {
		if (this.#fixed.has(name) || this.#redefinable.has(name)) {
			throw new StatementError(`"${name}" is defined twice`);
		}
		this.#fixed.add(name);
	}

	/** `1b` is the last label 1 before here, `1f` the next one. */
	readonly resolveLocal = (reference: string): string => {
		const label = reference.slice(0, -1);
		const count = this.#localCounts.get(label) ?? 0;
		if (reference.endsWith('b') && count === 0) {
			throw new StatementError(`no label ${label} before ${reference}`);
		}
		return `${label}#${reference.endsWith('b') ? count : count + 1}`;
	};

	add(statement: Statement, text = this.#line.text): void {
		const {location} = this.#line;
		this.statements.push({statement, section: this.#section, location, text, offset: 0, sizeBytes: 0});
	}

	evaluate(expression: Expression): bigint {
		const constants = this.#constants;
		const env: Environment = {
			get here(): bigint {
				throw new UndefinedSymbol('addresses are not known yet: this must be a constant');
			},
			symbol(name) {
				const value = constants.get(name);
				if (value === undefined) {
					throw new UndefinedSymbol(`"${name}" is not a constant that is known here`);
				}
				return value;
			},
			pcrelTarget: () => undefined,
		};
		return expression(env);
	}

	set(name: string, expression: Expression, mayRedefine: boolean): void {
		if (!mayRedefine || this.#fixed.has(name)) {
			this.#claim(name);
		} else {
			this.#redefinable.add(name);
		}
		this.add(new SetStatement(name, expression));
		try {
			this.#constants.set(name, this.evaluate(expression));
		} catch (error) {
			if (!(error instanceof UndefinedSymbol)) {
				throw error;
			}
			this.#constants.delete(name);
		}
	}

	markGlobal(name: string): void {
		this.globals.add(name);
	}

	switchSection(name: string, noBits: boolean): void {
		this.#section = this.#findSection(name, noBits);
	}

	pushSection(): void {
		this.#sectionStack.push(this.#section);
	}

	popSection(): void {
		const section = this.#sectionStack.pop();
		if (section === undefined) {
			throw new StatementError('.popsection without .pushsection');
		}
		this.#section = section;
	}

	requireAlignment(bytes: number): void {
		this.#section.alignment = Math.max(this.#section.alignment, bytes);
	}

	pushOptions(): void {
		this.#optionStack.push(this.compress);
	}

	popOptions(): void {
		const compress = this.#optionStack.pop();
		if (compress === undefined) {
			throw new StatementError('.option pop without .option push');
		}
		this.compress = compress;
	}

	get inCode(): boolean {
		return /^\.text(\.|$)/.test(this.#section.name);
	}

	#findSection(name: string, noBits: boolean): Section {
		let section = this.sections.get(name);
		if (section === undefined) {
			section = {name, noBits, alignment: 1, base: 0n, sizeBytes: 0};
			this.sections.set(name, section);
		}
		return section;
	}
}
