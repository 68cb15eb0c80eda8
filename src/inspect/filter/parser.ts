/**
 * Grammar of the filter: the part of Wireshark's display filter language that asks about fields.
 *
 *   or      = and { ("||" | "or") and }
 *   and     = not { ("&&" | "and") not }
 *   not     = ("!" | "not") not | "(" or ")" | test
 *   test    = field [ relation literal | "contains" literal | "in" "{" item { "," item } "}" ]
 *   item    = literal [ ".." literal ]
 */
import {FilterSyntaxError, tokenize, type Token} from './lexer.js';

export type Relation = '==' | '!=' | '===' | '!==' | '>' | '<' | '>=' | '<=' | 'contains';

export interface Literal {
	readonly text: string;
	/** Was written in quotes. */
	readonly quoted: boolean;
	readonly at: number;
}

export type FilterNode =
	| {kind: 'and' | 'or'; left: FilterNode; right: FilterNode}
	| {kind: 'not'; of: FilterNode}
	| {kind: 'exists'; field: string; at: number}
	| {kind: 'compare'; field: string; at: number; relation: Relation; literal: Literal}
	| {kind: 'in'; field: string; at: number; items: readonly {from: Literal; to?: Literal}[]};

const RELATIONS: Readonly<Record<string, Relation>> = {
	'==': '==',
	eq: '==',
	'!=': '!=',
	ne: '!=',
	'===': '===',
	all_eq: '===',
	'!==': '!==',
	any_ne: '!==',
	'>': '>',
	gt: '>',
	'<': '<',
	lt: '<',
	'>=': '>=',
	ge: '>=',
	'<=': '<=',
	le: '<=',
	contains: 'contains',
};
const WORD_OPERATORS = new Set(['and', 'or', 'not', 'in', ...Object.keys(RELATIONS)]);
/** Deep enough for any person, shallow enough for any stack. */
const MAX_DEPTH = 200;

class Parser {
	readonly #expression: string;
	readonly #tokens: Token[];
	#next = 0;
	#depth = 0;

	constructor(expression: string) {
		this.#expression = expression;
		this.#tokens = tokenize(expression);
	}

	parse(): FilterNode {
		const node = this.#or();
		if (this.#token.kind !== 'end') {
			throw this.#unexpected('and, or, or the end');
		}
		return node;
	}

	get #token(): Token {
		return this.#tokens[this.#next]!;
	}

	#or(): FilterNode {
		let left = this.#and();
		while (this.#take('||') || this.#take('or')) {
			left = {kind: 'or', left, right: this.#and()};
		}
		return left;
	}

	#and(): FilterNode {
		let left = this.#not();
		while (this.#take('&&') || this.#take('and')) {
			left = {kind: 'and', left, right: this.#not()};
		}
		return left;
	}

	#not(): FilterNode {
		if (++this.#depth > MAX_DEPTH) {
			throw new FilterSyntaxError('nested too deeply', this.#expression, this.#token.at);
		}
		try {
			if (this.#take('!') || this.#take('not')) {
				return {kind: 'not', of: this.#not()};
			}
			if (this.#take('(')) {
				const inner = this.#or();
				this.#expect(')');
				return inner;
			}
			return this.#test();
		} finally {
			this.#depth--;
		}
	}

	#test(): FilterNode {
		const {kind, text: field, at} = this.#token;
		if (kind !== 'word' || WORD_OPERATORS.has(field)) {
			throw this.#unexpected('a field name');
		}
		this.#next++;
		if (this.#take('in')) {
			return {kind: 'in', field, at, items: this.#set()};
		}
		const relation = this.#token.kind === 'string' ? undefined : RELATIONS[this.#token.text];
		if (relation === undefined) {
			return {kind: 'exists', field, at};
		}
		this.#next++;
		return {kind: 'compare', field, at, relation, literal: this.#literal()};
	}

	#set(): {from: Literal; to?: Literal}[] {
		this.#expect('{');
		const items: {from: Literal; to?: Literal}[] = [];
		do {
			const from = this.#literal();
			// `1..5` is one word for the lexer, `1 .. 5` is three.
			const [low, high] = from.quoted ? [] : from.text.split('..');
			if (!from.quoted && this.#token.text === '..') {
				this.#next++;
				items.push({from, to: this.#literal()});
			} else if (low && high) {
				items.push({
					from: {text: low, quoted: false, at: from.at},
					to: {text: high, quoted: false, at: from.at + low.length + 2},
				});
			} else {
				items.push({from});
			}
		} while (this.#take(','));
		this.#expect('}');
		return items;
	}

	#literal(): Literal {
		const {kind, text, at} = this.#token;
		if (kind !== 'word' && kind !== 'string') {
			throw this.#unexpected('a value');
		}
		this.#next++;
		return {text, quoted: kind === 'string', at};
	}

	#take(text: string): boolean {
		if (this.#token.text === text && this.#token.kind !== 'string' && this.#token.kind !== 'end') {
			this.#next++;
			return true;
		}
		return false;
	}

	#expect(text: string): void {
		if (!this.#take(text)) {
			throw this.#unexpected(`"${text}"`);
		}
	}

	#unexpected(wanted: string): FilterSyntaxError {
		const {kind, text, at} = this.#token;
		const found = kind === 'end' ? text : `"${text}"`;
		return new FilterSyntaxError(`expected ${wanted}, found ${found}`, this.#expression, at);
	}
}

/** The expression as a tree; throws FilterSyntaxError. */
export function parseFilter(expression: string): FilterNode {
	return new Parser(expression).parse();
}
