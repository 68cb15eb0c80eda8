/** One statement's text as tokens. Comments are gone by then (reader.ts). */
import {StatementError} from './errors.js';

export interface Token {
	/** `local` is a reference 1f or 1b; `modifier` is %hi and its like; `punct` is an operator or a bracket. */
	readonly type: 'name' | 'number' | 'string' | 'local' | 'modifier' | 'punct';
	readonly text: string;
}

/** One group for each type, in this order; blanks match none. */
const TYPES = ['name', 'local', 'number', 'string', 'modifier', 'punct'] as const satisfies Token['type'][];
const TOKEN = new RegExp(
	[
		/\s+/,
		/([A-Za-z_.$][\w.$]*)/,
		/([0-9]+[fb](?!\w))/,
		/(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+|'(?:\\.|[^\\])')/,
		/("(?:\\.|[^"\\])*")/,
		/(%(?:hi|lo|pcrel_hi|pcrel_lo)(?=\s*\())/,
		/(<<|>>|<=|>=|==|!=|<>|&&|\|\||[-+*/%&|^~!<>()=,@:])/,
	]
		.map((part) => part.source)
		.join('|'),
	'y',
);

/** Throws StatementError at a character that starts no token. */
export function tokenize(text: string): Token[] {
	const tokens: Token[] = [];
	const pattern = new RegExp(TOKEN);
	while (pattern.lastIndex < text.length) {
		const at = pattern.lastIndex;
		const match = pattern.exec(text);
		if (match === null) {
			throw new StatementError(`unexpected "${text.slice(at).trim().slice(0, 10)}"`);
		}
		const group = match.findIndex((part, index) => index > 0 && part !== undefined);
		if (group > 0) {
			tokens.push({type: TYPES[group - 1]!, text: match[0]});
		}
	}
	return tokens;
}

const ESCAPES: Readonly<Record<string, number>> = {
	n: 10,
	t: 9,
	r: 13,
	b: 8,
	f: 12,
	'\\': 92,
	'"': 34,
	"'": 39,
};

/** The bytes of a quoted string or character: UTF-8, with the escapes \n \t \r \b \f \\ \" \' \ooo \xhh. */
export function unquote(text: string): Uint8Array {
	const bytes: number[] = [];
	const encoder = new TextEncoder();
	for (const [part] of text.slice(1, -1).matchAll(/\\[0-7]{1,3}|\\x[0-9a-fA-F]+|\\.|[^\\]+/gs)) {
		if (!part.startsWith('\\')) {
			bytes.push(...encoder.encode(part));
		} else if (/^\\[0-7]/.test(part)) {
			bytes.push(Number.parseInt(part.slice(1), 8) & 0xff);
		} else if (part.startsWith('\\x') && part.length > 2) {
			bytes.push(Number.parseInt(part.slice(2), 16) & 0xff);
		} else {
			const value = ESCAPES[part[1]!];
			if (value === undefined) {
				throw new StatementError(`unknown escape ${part} in ${text}`);
			}
			bytes.push(value);
		}
	}
	return Uint8Array.from(bytes);
}

/** A reader's place in the tokens of one statement. */
export class TokenCursor {
	readonly tokens: readonly Token[];
	index = 0;

	constructor(tokens: readonly Token[]) {
		this.tokens = tokens;
	}

	get atEnd(): boolean {
		return this.index >= this.tokens.length;
	}

	peek(ahead = 0): Token | undefined {
		return this.tokens[this.index + ahead];
	}

	/** True if the next token is this operator or bracket. */
	sees(punct: string, ahead = 0): boolean {
		const token = this.peek(ahead);
		return token?.type === 'punct' && token.text === punct;
	}

	/** Takes the next token if it is this operator or bracket. */
	accept(punct: string): boolean {
		const found = this.sees(punct);
		this.index += found ? 1 : 0;
		return found;
	}

	expect(punct: string): void {
		if (!this.accept(punct)) {
			throw new StatementError(`expected "${punct}" ${this.where()}`);
		}
	}

	/** Takes the next token if it has this type. */
	take(type: Token['type'], what: string): string {
		const token = this.peek();
		if (token?.type !== type) {
			throw new StatementError(`expected ${what} ${this.where()}`);
		}
		this.index++;
		return token.text;
	}

	expectEnd(): void {
		if (!this.atEnd) {
			throw new StatementError(`unexpected "${this.peek()!.text}"`);
		}
	}

	where(): string {
		const token = this.peek();
		return token === undefined ? 'at the end' : `before "${token.text}"`;
	}
}
