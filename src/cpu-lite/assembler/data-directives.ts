/** Directives that take up room: numbers, text, space, alignment. */
import type {Directive, DirectiveContext} from './directive-context.js';
import {StatementError} from './errors.js';
import {parseExpression, type Environment, type Expression} from './expression.js';
import {unquote, type TokenCursor} from './tokens.js';

const MAX_FILL_BYTES = 2n ** 31n;

function expressionList(cursor: TokenCursor, context: DirectiveContext): Expression[] {
	const list: Expression[] = [];
	if (!cursor.atEnd) {
		do {
			list.push(parseExpression(cursor, context.resolveLocal));
		} while (cursor.accept(','));
	}
	return list;
}

function littleEndian(value: bigint, sizeBytes: number): number[] {
	return Array.from({length: sizeBytes}, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}

/** `.half 1, -1, label`: each value must fit as a signed or as an unsigned number. `.` is where the value stands. */
const data =
	(sizeBytes: number): Directive =>
	(cursor, context) => {
		const values = expressionList(cursor, context);
		const bits = 8 * sizeBytes;
		context.add({
			measure: () => values.length * sizeBytes,
			emit: (env) =>
				Uint8Array.from(
					values.flatMap((expression, index) => {
						const value = expression({...env, here: env.here + BigInt(index * sizeBytes)});
						if (BigInt.asIntN(bits, value) !== value && BigInt.asUintN(bits, value) !== value) {
							throw new StatementError(`${value} does not fit ${bits} bits`);
						}
						return littleEndian(value, sizeBytes);
					}),
				),
		});
	};

const text =
	(terminator: readonly number[]): Directive =>
	(cursor, context) => {
		const bytes: number[] = [];
		do {
			bytes.push(...unquote(cursor.take('string', 'a string')), ...terminator);
		} while (cursor.accept(','));
		context.add({measure: () => bytes.length, emit: () => Uint8Array.from(bytes)});
	};

function checkedSize(value: bigint): number {
	if (value < 0n || value > MAX_FILL_BYTES) {
		throw new StatementError(`${value} bytes are not in 0..${MAX_FILL_BYTES}`);
	}
	return Number(value);
}

/** `.zero n`, `.space n, fill`. */
const space: Directive = (cursor, context) => {
	const [size, fill] = expressionList(cursor, context);
	if (size === undefined) {
		throw new StatementError('expected a number of bytes');
	}
	context.add({
		measure: (env) => checkedSize(size(env)),
		emit: (env) => new Uint8Array(checkedSize(size(env))).fill(Number(BigInt.asUintN(8, fill?.(env) ?? 0n))),
	});
};

/** `.fill repeat, size, value`. */
const fill: Directive = (cursor, context) => {
	const [repeat, size, value] = expressionList(cursor, context);
	if (repeat === undefined) {
		throw new StatementError('expected a number of repetitions');
	}
	const sizeOf = (env: Environment): number => checkedSize(size?.(env) ?? 1n);
	context.add({
		measure: (env) => checkedSize(repeat(env) * BigInt(sizeOf(env))),
		emit: (env) => {
			const item = littleEndian(value?.(env) ?? 0n, sizeOf(env));
			const count = checkedSize(repeat(env) * BigInt(item.length));
			return Uint8Array.from({length: count}, (_, index) => item[index % item.length]!);
		},
	});
};

/** Instructions that do nothing, up to an address. */
function nops(sizeBytes: number, mayCompress: boolean): Uint8Array {
	const bytes = new Uint8Array(sizeBytes);
	// A nop can only be where an instruction can: bytes in front of that are zero, and without C also a half word.
	let at = sizeBytes % (mayCompress ? 2 : 4);
	if (mayCompress && (sizeBytes - at) % 4 === 2) {
		bytes[at] = 0x01; // c.nop
		at += 2;
	}
	for (; at < sizeBytes; at += 4) {
		bytes[at] = 0x13; // nop
	}
	return bytes;
}

/** `.align n, fill, max`: n is a power of two's exponent, or the bytes themselves for .balign. */
const align =
	(isExponent: boolean): Directive =>
	(cursor, context) => {
		const operands = alignOperands(cursor, context);
		const value = context.evaluate(operands.amount);
		if (value < 0n || value > (isExponent ? 30n : 2n ** 30n)) {
			throw new StatementError(`alignment ${value} is out of range`);
		}
		const bytes = isExponent ? 2 ** Number(value) : Math.max(1, Number(value));
		if (!Number.isInteger(Math.log2(bytes))) {
			throw new StatementError(`alignment ${bytes} is not a power of two`);
		}
		context.requireAlignment(bytes);
		const {compress, inCode} = context;
		const sizeOf = (env: Environment): number => {
			const needed = Number(BigInt.asUintN(64, -env.here) % BigInt(bytes));
			const most = operands.most?.(env);
			return most !== undefined && needed > most ? 0 : needed;
		};
		context.add({
			measure: sizeOf,
			emit: (env) => {
				const size = sizeOf(env);
				const filler = operands.fill?.(env);
				return filler === undefined && inCode
					? nops(size, compress)
					: new Uint8Array(size).fill(Number(BigInt.asUintN(8, filler ?? 0n)));
			},
		});
	};

function alignOperands(
	cursor: TokenCursor,
	context: DirectiveContext,
): {amount: Expression; fill: Expression | undefined; most: Expression | undefined} {
	const amount = parseExpression(cursor, context.resolveLocal);
	const optional = (): Expression | undefined =>
		cursor.accept(',') && !cursor.sees(',') ? parseExpression(cursor, context.resolveLocal) : undefined;
	return {amount, fill: optional(), most: optional()};
}

/** `.org address`: forwards to an address in this section. */
const org: Directive = (cursor, context) => {
	const target = parseExpression(cursor, context.resolveLocal);
	const sizeOf = (env: Environment): bigint => target(env) - env.here;
	context.add({
		// Backwards is an error, but only once the addresses are settled.
		measure: (env) => checkedSize(sizeOf(env) < 0n ? 0n : sizeOf(env)),
		emit: (env) => {
			if (sizeOf(env) < 0n) {
				throw new StatementError(`.org cannot go back by ${-sizeOf(env)} bytes`);
			}
			return new Uint8Array(checkedSize(sizeOf(env)));
		},
	});
};

export const DATA_DIRECTIVES: readonly (readonly [string, Directive])[] = [
	...['.byte', '.1byte'].map((name) => [name, data(1)] as const),
	...['.half', '.2byte', '.short', '.hword'].map((name) => [name, data(2)] as const),
	...['.word', '.4byte', '.long', '.int'].map((name) => [name, data(4)] as const),
	...['.dword', '.8byte', '.quad'].map((name) => [name, data(8)] as const),
	['.ascii', text([])],
	['.asciz', text([0])],
	['.string', text([0])],
	...['.zero', '.space', '.skip'].map((name) => [name, space] as const),
	['.fill', fill],
	['.align', align(true)],
	['.p2align', align(true)],
	['.balign', align(false)],
	['.org', org],
];
