/**
 * Integer arithmetic on lists of bits, the way hardware and schoolbooks do it: an adder that carries, shift and add,
 * shift and subtract. A second, independent opinion on what the engines compute with BigInt and i64.
 */

/** Bits of a number, lowest first. */
export type Bits = readonly (0 | 1)[];

export function toBits(value: bigint, length = 64): Bits {
	return Array.from({length}, (_, index) => (((value >> BigInt(index)) & 1n) === 1n ? 1 : 0));
}

/** The unsigned value. */
export function fromBits(bits: Bits): bigint {
	return BigInt(`0b${[...bits].reverse().join('')}`);
}

const fill = (bit: 0 | 1, length: number): Bits => new Array<0 | 1>(length).fill(bit);
const signOf = (bits: Bits): 0 | 1 => bits[bits.length - 1]!;
const invert = (bits: Bits): Bits => bits.map((bit) => (bit === 0 ? 1 : 0));
const isZero = (bits: Bits): boolean => bits.every((bit) => bit === 0);

/** Sign- or zero-extends the low `from` bits to `length`. */
export function extend(bits: Bits, from: number, signed: boolean, length = 64): Bits {
	const low = bits.slice(0, from);
	return [...low, ...fill(signed ? signOf(low) : 0, length - from)];
}

export function add(a: Bits, b: Bits, carryIn: 0 | 1 = 0): Bits {
	let carry: number = carryIn;
	return a.map((bit, index) => {
		const sum = bit + b[index]! + carry;
		carry = sum >> 1;
		return (sum & 1) as 0 | 1;
	});
}

export const subtract = (a: Bits, b: Bits): Bits => add(a, invert(b), 1);
export const negate = (a: Bits): Bits => subtract(fill(0, a.length), a);

/** The borrow of a subtraction one bit wider. */
export function lessUnsigned(a: Bits, b: Bits): boolean {
	return signOf(subtract([...a, 0], [...b, 0])) === 1;
}

export function lessSigned(a: Bits, b: Bits): boolean {
	return signOf(a) === signOf(b) ? lessUnsigned(a, b) : signOf(a) === 1;
}

export const and = (a: Bits, b: Bits): Bits => a.map((bit, index) => (bit & b[index]!) as 0 | 1);
export const or = (a: Bits, b: Bits): Bits => a.map((bit, index) => (bit | b[index]!) as 0 | 1);
export const xor = (a: Bits, b: Bits): Bits => a.map((bit, index) => (bit ^ b[index]!) as 0 | 1);

export function shiftLeft(a: Bits, count: number): Bits {
	return [...fill(0, count), ...a].slice(0, a.length);
}

export function shiftRight(a: Bits, count: number, signed: boolean): Bits {
	return [...a, ...fill(signed ? signOf(a) : 0, count)].slice(count);
}

/** The low 5 or 6 bits as a number. */
export function shiftAmount(bits: Bits, count: 5 | 6): number {
	return Number(fromBits(bits.slice(0, count)));
}

/** The full product, twice as long: shift and add. */
export function multiply(a: Bits, aSigned: boolean, b: Bits, bSigned: boolean): Bits {
	const length = 2 * a.length;
	const wideA = extend(a, a.length, aSigned, length);
	const wideB = extend(b, b.length, bSigned, length);
	return wideB.reduce(
		(sum: Bits, bit, index) => (bit === 1 ? add(sum, shiftLeft(wideA, index)) : sum),
		fill(0, length),
	);
}

/** Quotient and remainder: shift and subtract. */
function divideUnsigned(a: Bits, b: Bits): {quotient: Bits; remainder: Bits} {
	const quotient: (0 | 1)[] = [];
	const wideB = [...b, 0 as const];
	let remainder: Bits = fill(0, a.length + 1);
	for (const bit of [...a].reverse()) {
		remainder = [bit, ...remainder].slice(0, remainder.length);
		const fits = !lessUnsigned(remainder, wideB);
		remainder = fits ? subtract(remainder, wideB) : remainder;
		quotient.unshift(fits ? 1 : 0);
	}
	return {quotient, remainder: remainder.slice(0, a.length)};
}

/** RISC-V's division: rounds towards zero; by zero all ones and the dividend. */
export function divide(a: Bits, b: Bits, signed: boolean): {quotient: Bits; remainder: Bits} {
	if (isZero(b)) {
		return {quotient: fill(1, a.length), remainder: a};
	}
	const size = (bits: Bits): Bits => (signed && signOf(bits) === 1 ? negate(bits) : bits);
	const {quotient, remainder} = divideUnsigned(size(a), size(b));
	return {
		quotient: signed && signOf(a) !== signOf(b) ? negate(quotient) : quotient,
		remainder: signed && signOf(a) === 1 ? negate(remainder) : remainder,
	};
}
