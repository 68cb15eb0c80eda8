/**
 * Expressions of addresses and numbers, parsed to closures and evaluated in every layout pass. 64-bit values are
 * BigInt. Operators bind as in the GNU assembler, which is not as in C: * / % << >> first, then | & ^ (and binary !,
 * or-not), then + -, then comparisons (which yield -1 for true), then && and || (which yield 1).
 */
import {registerNumber} from '../isa/operands.js';
import {StatementError} from './errors.js';
import {unquote, type TokenCursor} from './tokens.js';

/** What the value of an expression depends on. */
export interface Environment {
	/** Address of the statement: the value of `.`. */
	readonly here: bigint;
	/** Throws UndefinedSymbol if the name has no value (yet). */
	symbol(name: string): bigint;
	/** What the %pcrel_hi at this address refers to; undefined if there is none (yet). */
	pcrelTarget(address: bigint): bigint | undefined;
}

export interface Expression {
	(env: Environment): bigint;
	/** The operand, if the whole expression is `%pcrel_hi(operand)`: what a %pcrel_lo of this place refers to. */
	readonly pcrelOperand?: Expression;
}

export class UndefinedSymbol extends StatementError {
	override name = 'UndefinedSymbol';
}

export const constant =
	(value: bigint): Expression =>
	() =>
		value;

/** Gives the symbol that a reference `1f` or `1b` means at this point of the source. */
export type ResolveLocal = (reference: string) => string;

type Binary = (a: bigint, b: bigint) => bigint;

const truth = (condition: boolean): bigint => (condition ? -1n : 0n);
const divisor = (b: bigint): bigint => {
	if (b === 0n) {
		throw new StatementError('division by zero');
	}
	return b;
};
const shift = (n: bigint): bigint => {
	if (n < 0n || n > 63n) {
		throw new StatementError(`shift by ${n} is not in 0..63`);
	}
	return n;
};

/** Loosest first. */
const LEVELS: readonly Readonly<Record<string, Binary>>[] = [
	{'||': (a, b) => (a !== 0n || b !== 0n ? 1n : 0n)},
	{'&&': (a, b) => (a !== 0n && b !== 0n ? 1n : 0n)},
	{
		'==': (a, b) => truth(a === b),
		'!=': (a, b) => truth(a !== b),
		'<>': (a, b) => truth(a !== b),
		'<': (a, b) => truth(a < b),
		'>': (a, b) => truth(a > b),
		'<=': (a, b) => truth(a <= b),
		'>=': (a, b) => truth(a >= b),
	},
	{'+': (a, b) => a + b, '-': (a, b) => a - b},
	{'|': (a, b) => a | b, '&': (a, b) => a & b, '^': (a, b) => a ^ b, '!': (a, b) => a | ~b},
	{
		'*': (a, b) => a * b,
		'/': (a, b) => a / divisor(b),
		'%': (a, b) => a % divisor(b),
		'<<': (a, b) => a << shift(b),
		'>>': (a, b) => BigInt.asUintN(64, a) >> shift(b),
	},
];

/** Upper 20 bits such that adding the sign-extended lower 12 gives the value; throws if 32 bits do not reach it. */
export function hi20(value: bigint): bigint {
	const upper = BigInt.asIntN(64, value + 0x800n) >> 12n;
	if (BigInt.asIntN(20, upper) !== upper) {
		throw new StatementError(
			`0x${BigInt.asUintN(64, value).toString(16)} is out of the reach of 32 signed bits`,
		);
	}
	return BigInt.asUintN(20, upper);
}

/** Lower 12 bits, sign-extended. */
export function lo12(value: bigint): bigint {
	return BigInt.asIntN(12, value);
}

const MODIFIERS: Readonly<Record<string, (operand: Expression) => Expression>> = {
	'%hi': (operand) => (env) => hi20(operand(env)),
	'%lo': (operand) => (env) => lo12(operand(env)),
	'%pcrel_hi': (operand) =>
		Object.assign((env: Environment) => hi20(operand(env) - env.here), {pcrelOperand: operand}),
	// Its operand is the label of the auipc that has the upper part.
	'%pcrel_lo': (operand) => (env) => {
		const label = operand(env);
		const target = env.pcrelTarget(label);
		if (target === undefined) {
			throw new UndefinedSymbol('%pcrel_lo must name the label of an auipc with %pcrel_hi');
		}
		return lo12(target - label);
	},
};

/** Reads the longest expression at the cursor. Register names are not symbols. */
export function parseExpression(cursor: TokenCursor, resolveLocal: ResolveLocal, level = 0): Expression {
	const operators = LEVELS[level];
	if (operators === undefined) {
		return parseUnary(cursor, resolveLocal);
	}
	let left = parseExpression(cursor, resolveLocal, level + 1);
	for (;;) {
		const token = cursor.peek();
		if (token?.type !== 'punct' || !Object.hasOwn(operators, token.text)) {
			return left;
		}
		cursor.index++;
		const apply = operators[token.text]!;
		const first = left;
		const second = parseExpression(cursor, resolveLocal, level + 1);
		left = (env) => apply(first(env), second(env));
	}
}

function parseUnary(cursor: TokenCursor, resolveLocal: ResolveLocal): Expression {
	const token = cursor.peek();
	if (token === undefined) {
		throw new StatementError('expected an expression at the end');
	}
	cursor.index++;
	const {type, text} = token;
	if (type === 'number') {
		return constant(parseNumber(text));
	}
	if (type === 'local') {
		const name = resolveLocal(text);
		return (env) => env.symbol(name);
	}
	if (type === 'name' && registerNumber(text) === undefined) {
		return text === '.' ? (env) => env.here : (env) => env.symbol(text);
	}
	if (type === 'modifier') {
		cursor.expect('(');
		const operand = parseExpression(cursor, resolveLocal);
		cursor.expect(')');
		return MODIFIERS[text]!(operand);
	}
	if (text === '(') {
		const inner = parseExpression(cursor, resolveLocal);
		cursor.expect(')');
		return inner;
	}
	if (text === '-' || text === '~' || text === '!' || text === '+') {
		const operand = parseUnary(cursor, resolveLocal);
		switch (text) {
			case '-':
				return (env) => -operand(env);
			case '~':
				return (env) => ~operand(env);
			case '!':
				return (env) => (operand(env) === 0n ? 1n : 0n);
			case '+':
				return operand;
		}
	}
	cursor.index--;
	throw new StatementError(`expected an expression ${cursor.where()}`);
}

/** 0x, 0b, octal with a leading 0, decimal, or a character. */
function parseNumber(text: string): bigint {
	if (text.startsWith("'")) {
		const bytes = unquote(text);
		if (bytes.length !== 1) {
			throw new StatementError(`${text} is not one byte`);
		}
		return BigInt(bytes[0]!);
	}
	if (/^0[0-9]+$/.test(text)) {
		if (/[89]/.test(text)) {
			throw new StatementError(`${text} has a leading 0 but is not octal`);
		}
		return BigInt(`0o${text.slice(1)}`);
	}
	const value = BigInt(text);
	if (value >= 2n ** 64n) {
		throw new StatementError(`${text} does not fit 64 bits`);
	}
	return value;
}
