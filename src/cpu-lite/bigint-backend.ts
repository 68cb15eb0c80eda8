/**
 * The instruction table's verbs on BigInt, slow and obvious: a value is an unsigned 64-bit bigint, a condition a
 * boolean, and every verb acts at once. What a register, a memory access or a jump is, the subclass says.
 */
import type {AtomicWidth, Backend, CsrOp, SystemOp, Width} from './isa/backend.js';

/** The value modulo 2^64. */
export function unsigned64(value: bigint): bigint {
	return BigInt.asUintN(64, value);
}

/** The value read as two's complement. */
export function signed64(value: bigint): bigint {
	return BigInt.asIntN(64, value);
}

const ALL_ONES = unsigned64(-1n);

export abstract class BigIntBackend implements Backend<bigint, boolean> {
	abstract rs1(): bigint;
	abstract rs2(): bigint;
	abstract imm(): bigint;
	abstract zimm(): bigint;
	abstract pc(): bigint;
	abstract nextPc(): bigint;
	abstract setRd(value: bigint): void;
	abstract load(width: Width, signed: boolean, address: bigint): bigint;
	abstract store(width: Width, address: bigint, value: bigint): void;
	abstract amo(width: AtomicWidth, address: bigint, change: (old: bigint) => bigint): bigint;
	abstract loadReserved(width: AtomicWidth, address: bigint): bigint;
	abstract storeConditional(width: AtomicWidth, address: bigint, value: bigint): bigint;
	abstract branch(condition: boolean): void;
	abstract jump(): void;
	abstract jumpTo(address: bigint): void;
	abstract csr(op: CsrOp, source: bigint): bigint;
	abstract system(op: SystemOp): void;

	fence(): void {}

	constant(value: bigint): bigint {
		return unsigned64(value);
	}

	bind(value: bigint): bigint {
		return value;
	}

	add(a: bigint, b: bigint): bigint {
		return unsigned64(a + b);
	}

	sub(a: bigint, b: bigint): bigint {
		return unsigned64(a - b);
	}

	and(a: bigint, b: bigint): bigint {
		return a & b;
	}

	or(a: bigint, b: bigint): bigint {
		return a | b;
	}

	xor(a: bigint, b: bigint): bigint {
		return a ^ b;
	}

	shl(a: bigint, n: bigint): bigint {
		return unsigned64(a << (n & 63n));
	}

	shrU(a: bigint, n: bigint): bigint {
		return a >> (n & 63n);
	}

	shrS(a: bigint, n: bigint): bigint {
		return unsigned64(signed64(a) >> (n & 63n));
	}

	mul(a: bigint, b: bigint): bigint {
		return unsigned64(a * b);
	}

	mulhSS(a: bigint, b: bigint): bigint {
		return unsigned64((signed64(a) * signed64(b)) >> 64n);
	}

	mulhSU(a: bigint, b: bigint): bigint {
		return unsigned64((signed64(a) * b) >> 64n);
	}

	mulhUU(a: bigint, b: bigint): bigint {
		return (a * b) >> 64n;
	}

	divS(a: bigint, b: bigint): bigint {
		return b === 0n ? ALL_ONES : unsigned64(signed64(a) / signed64(b));
	}

	divU(a: bigint, b: bigint): bigint {
		return b === 0n ? ALL_ONES : a / b;
	}

	remS(a: bigint, b: bigint): bigint {
		return b === 0n ? a : unsigned64(signed64(a) % signed64(b));
	}

	remU(a: bigint, b: bigint): bigint {
		return b === 0n ? a : a % b;
	}

	sext32(a: bigint): bigint {
		return unsigned64(BigInt.asIntN(32, a));
	}

	zext32(a: bigint): bigint {
		return BigInt.asUintN(32, a);
	}

	eq(a: bigint, b: bigint): boolean {
		return a === b;
	}

	ne(a: bigint, b: bigint): boolean {
		return a !== b;
	}

	ltS(a: bigint, b: bigint): boolean {
		return signed64(a) < signed64(b);
	}

	ltU(a: bigint, b: bigint): boolean {
		return a < b;
	}

	geS(a: bigint, b: bigint): boolean {
		return signed64(a) >= signed64(b);
	}

	geU(a: bigint, b: bigint): boolean {
		return a >= b;
	}

	fromCondition(condition: boolean): bigint {
		return condition ? 1n : 0n;
	}

	select(ifTrue: bigint, ifFalse: bigint, condition: boolean): bigint {
		return condition ? ifTrue : ifFalse;
	}
}
