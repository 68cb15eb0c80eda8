/**
 * The loops in a page of predecoded code: basic blocks, the ways between them inside the page, and which of them lie
 * on a cycle. What is not decoded, or cold, is outside; a way that leads there and back counts as one.
 */
import {RECORD, RECORD_SIZE_BYTES, REGISTER_SIZE_BYTES} from '../isa/record.js';
import {HANDLER_COLD, type Handler, type HandlerSet} from './handlers.js';

const PAGE = 4096;
const RECORD_BYTES_PER_BYTE = RECORD_SIZE_BYTES / 2;

/** An instruction as its record has it; register numbers, 32 for a discarded rd. */
export interface PageInstruction {
	readonly offset: number;
	readonly handler: Handler;
	readonly rd: number;
	readonly rs1: number;
	readonly rs2: number;
	/** The immediate; of a branch or jump inside the page the distance in bytes of code. */
	readonly imm: number;
}

/** Instructions that are executed one behind the other, if the first one is. */
export interface Block {
	readonly start: number;
	/** Offset behind the last instruction. */
	readonly end: number;
	readonly instructions: readonly PageInstruction[];
	/** Offsets inside the page where it may go on. */
	readonly successors: readonly number[];
	/** Offsets to which execution comes back after it has left: behind a call, behind a cold instruction. */
	readonly resumes: readonly number[];
}

/** A page as its records have it. */
export interface PageCode {
	readonly instructions: ReadonlyMap<number, PageInstruction>;
	/** Cold instructions: offset to the offset behind. */
	readonly cold: ReadonlyMap<number, number>;
	/** Offsets behind the calls in the page: where a return may go. */
	readonly returnPoints: readonly number[];
}

/** ra, the link register of the calling convention. */
const LINK_REGISTER = 1;

/** True for `ret`: a jump to ra that does not link. */
export function isReturn({handler, rs1}: PageInstruction): boolean {
	return handler.traits.flow === 'jumpTo' && handler.discardsLink && rs1 === LINK_REGISTER;
}

function isCall({handler}: PageInstruction): boolean {
	const {flow} = handler.traits;
	return (flow === 'jump' || flow === 'jumpTo') && !handler.discardsLink;
}

/** Reads the instructions of a page from its records; `at` is the offset of the first one in the views. */
export function readPage(
	u8: Uint8Array,
	u16: Uint16Array,
	i32: Int32Array,
	at: number,
	handlers: HandlerSet,
): PageCode {
	const cold = new Map<number, number>();
	const instructions = new Map<number, PageInstruction>();
	for (let offset = 0; offset < PAGE; offset += 2) {
		const record = at + offset * RECORD_BYTES_PER_BYTE;
		const number = u8[record + RECORD.flags]!;
		const handler = handlers.at(number);
		if (number === HANDLER_COLD) {
			cold.set(offset, offset + u8[record + RECORD.sizeBytes]!);
		} else if (handler) {
			const register = (field: number) => u16[(record + field) >>> 1]! / REGISTER_SIZE_BYTES;
			const imm = i32[(record + RECORD.imm) >>> 2]!;
			instructions.set(offset, {
				offset,
				handler,
				rd: register(RECORD.rd),
				rs1: register(RECORD.rs1),
				rs2: register(RECORD.rs2),
				imm: handler.near ? imm / RECORD_BYTES_PER_BYTE : imm,
			});
		}
	}
	const returnPoints = [...instructions.values()]
		.filter(isCall)
		.map(({offset, handler}) => offset + handler.sizeBytes)
		.filter((offset) => instructions.has(offset));
	return {instructions, cold, returnPoints};
}

/** The blocks that lie on a cycle inside the page. */
export function findLoops(page: PageCode): Block[] {
	const blocks = cutBlocks(page);
	return [...blocks.values()].filter(({start, successors, resumes}) =>
		reaches(blocks, [...successors, ...resumes], start),
	);
}

function cutBlocks(page: PageCode): Map<number, Block> {
	const {instructions} = page;
	const leaders = new Set<number>();
	const followed = new Set<number>();
	for (const {offset, handler, imm} of instructions.values()) {
		const behind = offset + handler.sizeBytes;
		if (handler.near) {
			leaders.add(offset + imm);
		}
		if (handler.traits.flow === 'next') {
			followed.add(behind);
		} else {
			leaders.add(behind);
		}
	}
	const blocks = new Map<number, Block>();
	for (const offset of instructions.keys()) {
		if (leaders.has(offset) || !followed.has(offset)) {
			blocks.set(offset, cutBlock(page, leaders, offset));
		}
	}
	return blocks;
}

function cutBlock(
	{instructions, cold, returnPoints}: PageCode,
	leaders: ReadonlySet<number>,
	start: number,
): Block {
	const taken: PageInstruction[] = [];
	let end = start;
	let last: PageInstruction;
	do {
		last = instructions.get(end)!;
		taken.push(last);
		end += last.handler.sizeBytes;
	} while (last.handler.traits.flow === 'next' && instructions.has(end) && !leaders.has(end));
	const {flow} = last.handler.traits;
	const successors = last.handler.near ? [last.offset + last.imm] : [];
	if (flow === 'next' || flow === 'branch') {
		successors.push(end);
	} else if (isReturn(last)) {
		successors.push(...returnPoints);
	}
	const behindCold = cold.get(end);
	const resumes = isCall(last) ? [end] : behindCold === undefined ? [] : [behindCold];
	return {start, end, instructions: taken, successors, resumes};
}

/** True if there is a way from one of the offsets to `goal`. */
function reaches(blocks: ReadonlyMap<number, Block>, from: readonly number[], goal: number): boolean {
	const seen = new Set<number>();
	const open = [...from];
	for (let offset = open.pop(); offset !== undefined; offset = open.pop()) {
		if (offset === goal) {
			return true;
		}
		const block = blocks.get(offset);
		if (block && !seen.has(offset)) {
			seen.add(offset);
			open.push(...block.successors, ...block.resumes);
		}
	}
	return false;
}
