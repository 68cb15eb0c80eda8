/** Words of a display filter: `vmsim.queue == 3 && vmsim.desc.addr in {0x80000000..0x8fffffff}`. */
import {UsageError} from '../../errors.js';

export interface Token {
	readonly kind: 'word' | 'string' | 'operator' | 'end';
	/** The text, or the content of the string. */
	readonly text: string;
	/** Offset in the expression, for the error's caret. */
	readonly at: number;
}

/** A filter that cannot be read; the message shows where. */
export class FilterSyntaxError extends UsageError {
	override name = 'FilterSyntaxError';

	constructor(message: string, expression: string, at: number) {
		super(`-Y: ${message}\n    ${expression}\n    ${' '.repeat(at)}^`, {expression, at});
	}
}

const OPERATORS = ['===', '!==', '==', '!=', '>=', '<=', '&&', '||', '>', '<', '!', '(', ')', '{', '}', ','];
const WORD = /[A-Za-z0-9_.:+-]+/y;
const ESCAPES: Readonly<Record<string, string>> = {n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\'};

export function tokenize(expression: string): Token[] {
	const tokens: Token[] = [];
	let at = 0;
	while (at < expression.length) {
		if (/\s/.test(expression[at]!)) {
			at++;
			continue;
		}
		if (expression[at] === '"') {
			const [text, end] = quoted(expression, at);
			tokens.push({kind: 'string', text, at});
			at = end;
			continue;
		}
		const operator = OPERATORS.find((candidate) => expression.startsWith(candidate, at));
		if (operator) {
			tokens.push({kind: 'operator', text: operator, at});
			at += operator.length;
			continue;
		}
		WORD.lastIndex = at;
		const word = WORD.exec(expression)?.[0];
		if (word === undefined) {
			throw new FilterSyntaxError(`unexpected "${expression[at]}"`, expression, at);
		}
		tokens.push({kind: 'word', text: word, at});
		at += word.length;
	}
	tokens.push({kind: 'end', text: 'the end', at});
	return tokens;
}

function quoted(expression: string, start: number): [text: string, end: number] {
	let text = '';
	for (let at = start + 1; at < expression.length; at++) {
		const character = expression[at]!;
		if (character === '"') {
			return [text, at + 1];
		}
		if (character !== '\\') {
			text += character;
			continue;
		}
		const hex = /^x([0-9a-fA-F]{2})/.exec(expression.slice(at + 1));
		const escape = ESCAPES[expression[at + 1] ?? ''];
		if (hex) {
			text += String.fromCharCode(parseInt(hex[1]!, 16));
			at += 3;
		} else if (escape !== undefined) {
			text += escape;
			at++;
		} else {
			throw new FilterSyntaxError(`unknown escape "\\${expression[at + 1] ?? ''}"`, expression, at);
		}
	}
	throw new FilterSyntaxError('the string is not closed', expression, start);
}
