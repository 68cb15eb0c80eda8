/** A backend that executes nothing: it holds a semantics to the rules of isa/backend.ts. */
import type {Backend} from '../../src/cpu-lite/isa/backend.js';

export class RuleBroken extends Error {}

/** A value: an expression that is evaluated where it is consumed. */
interface Value {
	/** Reads a register when it is evaluated. */
	readonly readsRegister: boolean;
	readonly isBound: boolean;
	uses: number;
}

function fail(what: string): never {
	throw new RuleBroken(what);
}

export class RuleChecker implements Backend<Value, Value> {
	readonly #values: Value[] = [];
	#rdWritten = false;

	/** After the semantics: nothing may be left over. */
	finish(): void {
		if (this.#values.some(({uses, isBound}) => uses === 0 && !isBound)) {
			fail('a value is never consumed');
		}
	}

	#make(inputs: readonly Value[], readsRegister = false, isBound = false): Value {
		for (const input of inputs) {
			input.uses++;
			if (input.uses > 1 && !input.isBound) {
				fail('an unbound value is consumed twice');
			}
		}
		const reads = readsRegister || inputs.some((input) => input.readsRegister && !input.isBound);
		const value = {readsRegister: reads, isBound, uses: 0};
		this.#values.push(value);
		return value;
	}

	/** Evaluates values now, for an effect. */
	#effect(inputs: readonly Value[], mayTrap = false): void {
		const evaluated = this.#make(inputs);
		evaluated.uses++;
		if (this.#rdWritten && evaluated.readsRegister) {
			fail('a register is read after rd is written');
		}
		if (this.#rdWritten && mayTrap) {
			fail('something may trap after rd is written');
		}
	}

	/** A value whose evaluation may trap. */
	#access(...inputs: Value[]): Value {
		this.#effect([], true);
		return this.#make(inputs);
	}

	#pure = (...inputs: Value[]): Value => this.#make(inputs);
	#register = (): Value => this.#make([], true);

	rs1 = this.#register;
	rs2 = this.#register;
	imm = this.#pure;
	zimm = this.#pure;
	pc = this.#pure;
	nextPc = this.#pure;
	constant = (): Value => this.#make([]);

	bind(value: Value): Value {
		this.#effect([value]);
		const bound = this.#make([], false, true);
		return bound;
	}

	setRd(value: Value): void {
		this.#effect([value]);
		if (this.#rdWritten) {
			fail('rd is written twice');
		}
		this.#rdWritten = true;
	}

	add = this.#pure;
	sub = this.#pure;
	and = this.#pure;
	or = this.#pure;
	xor = this.#pure;
	shl = this.#pure;
	shrU = this.#pure;
	shrS = this.#pure;
	mul = this.#pure;
	mulhSS = this.#pure;
	mulhSU = this.#pure;
	mulhUU = this.#pure;
	divS = this.#pure;
	divU = this.#pure;
	remS = this.#pure;
	remU = this.#pure;
	sext32 = this.#pure;
	zext32 = this.#pure;
	eq = this.#pure;
	ne = this.#pure;
	ltS = this.#pure;
	ltU = this.#pure;
	geS = this.#pure;
	geU = this.#pure;
	fromCondition = this.#pure;
	select = this.#pure;

	load(_width: number, _signed: boolean, address: Value): Value {
		return this.#access(address);
	}

	store(_width: number, address: Value, value: Value): void {
		this.#effect([address, value], true);
	}

	amo(_width: number, address: Value, change: (old: Value) => Value): Value {
		const changed = change(this.#make([], false, true));
		return this.#access(address, changed);
	}

	loadReserved(_width: number, address: Value): Value {
		return this.#access(address);
	}

	storeConditional(_width: number, address: Value, value: Value): Value {
		return this.#access(address, value);
	}

	branch(condition: Value): void {
		this.#effect([condition]);
	}

	jump(): void {}

	jumpTo(address: Value): void {
		this.#effect([address]);
	}

	csr(_op: string, source: Value): Value {
		return this.#access(source);
	}

	fence(): void {}
	system(): void {}
}
