/** Reads the operands of one instruction against the syntax of its row. */
import {CSR_NUMBERS} from '../csr-numbers.js';
import {isOperandName, OPERANDS, registerNumber} from '../isa/operands.js';
import {StatementError} from './errors.js';
import {constant, parseExpression, type Expression, type ResolveLocal} from './expression.js';
import type {TokenCursor} from './tokens.js';

/** Operands by the names in the syntax: register numbers, and expressions for everything else. */
export type Operands = ReadonlyMap<string, number | Expression>;

/** `symbol` and `value` are operands of pseudo-instructions: an address or number that they take apart. */
export const PSEUDO_OPERANDS: readonly string[] = ['symbol', 'value'];

/** The pieces of a syntax string: words and punctuation. */
export function syntaxPieces(syntax: string): string[] {
	return syntax.match(/[a-z][a-z0-9]*|[,()]/g) ?? [];
}

/** Throws StatementError, with the cursor where the text stops to fit. */
export function parseOperands(cursor: TokenCursor, syntax: string, resolveLocal: ResolveLocal): Operands {
	const operands = new Map<string, number | Expression>();
	const pieces = syntaxPieces(syntax);
	pieces.forEach((piece, index) => {
		if (piece === '(' && !isNumeric(pieces[index - 1])) {
			acceptZero(cursor);
		}
		if (isPunctuation(piece)) {
			cursor.expect(piece);
		} else if (isNumeric(piece)) {
			const omitted = pieces[index + 1] === '(' && isRegisterInBrackets(cursor);
			operands.set(piece, omitted ? constant(0n) : parseNumeric(cursor, piece, resolveLocal));
		} else {
			parseRegister(cursor, piece, operands);
		}
	});
	cursor.expectEnd();
	return operands;
}

function isPunctuation(piece: string): boolean {
	return piece === ',' || piece === '(' || piece === ')';
}

/** Operands that are written as a number or an expression: all but registers. */
function isNumeric(piece: string | undefined): boolean {
	if (piece === undefined || isPunctuation(piece)) {
		return false;
	}
	return (
		PSEUDO_OPERANDS.includes(piece) ||
		piece === 'zimm' ||
		(isOperandName(piece) && OPERANDS[piece].slot === 'imm')
	);
}

/** `(a0)` for `0(a0)`. */
function isRegisterInBrackets(cursor: TokenCursor): boolean {
	const inner = cursor.peek(1);
	return cursor.sees('(') && inner?.type === 'name' && registerNumber(inner.text) !== undefined;
}

/** `0(a0)` for the `(a0)` of an atomic. */
function acceptZero(cursor: TokenCursor): void {
	if (cursor.peek()?.text === '0' && cursor.sees('(', 1)) {
		cursor.index++;
	}
}

/** A register operand, or one that must be a certain register. */
function parseRegister(cursor: TokenCursor, piece: string, operands: Map<string, number | Expression>): void {
	const token = cursor.peek();
	const number = token?.type === 'name' ? registerNumber(token.text) : undefined;
	const wanted = registerNumber(piece);
	if (number === undefined || (wanted !== undefined && wanted !== number)) {
		throw new StatementError(`expected ${wanted === undefined ? 'a register' : piece} ${cursor.where()}`);
	}
	cursor.index++;
	if (wanted === undefined) {
		operands.set(piece, number);
	}
}

function parseNumeric(cursor: TokenCursor, piece: string, resolveLocal: ResolveLocal): Expression {
	if (piece === 'order') {
		const predecessor = parseFenceSet(cursor);
		cursor.expect(',');
		return constant(BigInt((predecessor << 4) | parseFenceSet(cursor)));
	}
	if (piece === 'csr') {
		const token = cursor.peek();
		if (token?.type === 'name' && Object.hasOwn(CSR_NUMBERS, token.text)) {
			cursor.index++;
			return constant(BigInt(CSR_NUMBERS[token.text]!));
		}
	}
	return parseExpression(cursor, resolveLocal);
}

/** `iorw` or a part of it in this order, or 0 for none; i = 8, o = 4, r = 2, w = 1. */
function parseFenceSet(cursor: TokenCursor): number {
	if (cursor.peek()?.text === '0') {
		cursor.index++;
		return 0;
	}
	const text = cursor.take('name', 'iorw or a part of it');
	const match = /^(i?)(o?)(r?)(w?)$/.exec(text);
	if (match === null) {
		cursor.index--;
		throw new StatementError(`expected iorw or a part of it ${cursor.where()}`);
	}
	return match.slice(1).reduce((set, letter) => set * 2 + (letter === '' ? 0 : 1), 0);
}
