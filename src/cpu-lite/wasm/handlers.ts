/**
 * Which handlers the interpreter has and which one executes a decoded instruction. A handler is an instruction of the
 * table in one of its shapes: 2 or 4 bytes long, a branch that stays in its page or leaves it, a jump that links or
 * does not. All shapes come from the same semantics; what is fixed in a shape is a constant in its code.
 */
import {assert} from '../../errors.js';
import {COMPRESSED, INSTRUCTIONS} from '../isa/table.js';
import {traitsOf, type Traits} from './traits.js';

/** Handlers that are no instruction; they do not count as one either. */
export const HANDLER_UNDECODED = 0;
/** The whole instruction is executed outside: CSRs, traps, fences, anything the interpreter does not do itself. */
export const HANDLER_COLD = 1;
/** Behind the last instruction of a page. */
export const HANDLER_PAGE_END = 2;
/** An instruction that lies across two pages, or has a breakpoint: ask before it is executed. */
export const HANDLER_ASK = 3;
/** The loop that begins here has been translated (translator.ts); `flags` of the record has the handler proper. */
export const HANDLER_TRANSLATED = 4;
const FIRST_INSTRUCTION_HANDLER = 5;
/** A record has a byte for the number. */
const MAX_HANDLERS = 256;

export interface Handler {
	/** Index into INSTRUCTIONS. */
	readonly op: number;
	readonly sizeBytes: 2 | 4;
	/** A branch or jump whose target is in the same page: the record's imm is the distance in bytes of records. */
	readonly near: boolean;
	/** A jump with rd = x0. */
	readonly discardsLink: boolean;
	readonly traits: Traits;
}

export class HandlerSet {
	/** Handler number FIRST_INSTRUCTION_HANDLER + index. */
	readonly list: Handler[] = [];
	readonly traits: readonly Traits[] = INSTRUCTIONS.map(({sem}) => traitsOf(sem));
	readonly #numbers = new Map<number, number>();
	/** Handler number to op. */
	readonly #ops = new Uint8Array(MAX_HANDLERS);

	constructor() {
		const compressible = new Set(COMPRESSED.map(({expansion}) => expansion.op));
		INSTRUCTIONS.forEach((_, op) => {
			const traits = this.traits[op]!;
			if (traits.cold) {
				return;
			}
			const toTarget = traits.flow === 'branch' || traits.flow === 'jump';
			const links = traits.flow === 'jump' || traits.flow === 'jumpTo';
			for (const sizeBytes of compressible.has(op) ? ([2, 4] as const) : ([4] as const)) {
				for (const near of toTarget ? [false, true] : [false]) {
					for (const discardsLink of links ? [false, true] : [false]) {
						this.#numbers.set(key(op, sizeBytes, near, discardsLink), this.count);
						this.#ops[this.count] = op;
						this.list.push({op, sizeBytes, near, discardsLink, traits});
					}
				}
			}
		});
		assert(
			this.count <= MAX_HANDLERS && INSTRUCTIONS.length <= 256,
			'a handler number and an op fit in a byte',
		);
	}

	get count(): number {
		return FIRST_INSTRUCTION_HANDLER + this.list.length;
	}

	/** The number of the handler for a shape; `near` and `discardsLink` count only where the instruction has them. */
	numberOf(op: number, sizeBytes: number, near: boolean, discardsLink: boolean): number {
		const {cold, flow} = this.traits[op]!;
		if (cold) {
			return HANDLER_COLD;
		}
		const hasTarget = flow === 'branch' || flow === 'jump';
		const hasLink = flow === 'jump' || flow === 'jumpTo';
		return this.#numbers.get(key(op, sizeBytes, near && hasTarget, discardsLink && hasLink))!;
	}

	/** Op number of an instruction's handler. */
	opOf(number: number): number {
		return this.#ops[number]!;
	}

	/** The handler of a number, if it is an instruction's. */
	at(number: number): Handler | undefined {
		return this.list[number - FIRST_INSTRUCTION_HANDLER];
	}

	/** True if the handler takes imm as a distance in bytes of records. */
	isNear(number: number): boolean {
		return this.at(number)?.near === true;
	}
}

function key(op: number, sizeBytes: number, near: boolean, discardsLink: boolean): number {
	return op * 16 + sizeBytes * 2 + (near ? 2 : 0) + (discardsLink ? 1 : 0);
}
