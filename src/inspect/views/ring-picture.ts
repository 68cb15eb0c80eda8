/**
 * `--rings`: a ring drawn as a ring, slot 0 at the top left and clockwise, with the chains of the descriptor table
 * linked below. A ring of more than 64 slots is drawn as the arc around its indices.
 */
import {formatGpa} from '../../address.js';
import type {DescriptorRecord} from '../../events.js';
import {formatSize} from '../../units.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE} from '../../virtio/spec.js';
import type {RingChain, RingState} from '../rings.js';

const LARGEST_RING = 64;
const ARC = 16;
/** `63:>63*|>63` */
const CELL = 11;
/** Columns of a ring: eight cells make a line of 95 letters. */
const COLUMNS = 8;

interface Cell {
	slot: number;
	text: string;
}

/**
 * Slot, head in the available ring, id in the used ring: `3:7*|.` is head 7 in flight. `.` was never written, `>`
 * stands before the entry that comes next.
 */
function cellsOf(ring: RingState, slots: readonly number[]): Cell[] {
	const inFlight = new Set(ring.inFlight.map(({ringIndex}) => ringIndex));
	const marked = (slot: number, next: number | undefined, text: string): string =>
		(next !== undefined && slot === ring.slot(next) ? '>' : '') + text;
	return slots.map((slot) => {
		const entry = ring.avail.get(slot);
		const head = entry ? `${entry.head}${inFlight.has(entry.ringIndex) ? '*' : ''}` : '.';
		const id = String(ring.used.get(slot)?.head ?? '.');
		return {slot, text: `${marked(slot, ring.nextAvail, head)}|${marked(slot, ring.nextUsed, id)}`};
	});
}

/** The cells round a rectangle: along the top, down the right, back along the bottom, up the left. */
function drawRing(cells: readonly Cell[]): string[] {
	const box = ({slot, text}: Cell): string => `${String(slot).padStart(2)}:${text}`.padEnd(CELL);
	if (cells.length < 4) {
		return [`  ${cells.map(box).join(' ')}`.trimEnd()];
	}
	const width = Math.min(COLUMNS, cells.length / 4 + 1);
	const height = (cells.length - 2 * width) / 2 + 2;
	const grid = Array.from({length: height}, () => Array.from({length: width}, () => ' '.repeat(CELL)));
	cells.forEach((cell, index) => {
		const right = index - width;
		const bottom = right - (height - 2);
		const left = bottom - width;
		if (right < 0) {
			grid[0]![index] = box(cell);
		} else if (bottom < 0) {
			grid[1 + right]![width - 1] = box(cell);
		} else if (left < 0) {
			grid[height - 1]![width - 1 - bottom] = box(cell);
		} else {
			grid[height - 2 - left]![0] = box(cell);
		}
	});
	return grid.map((row) => `  ${row.join(' ')}`.trimEnd());
}

/** All slots of a small ring; of a large one those around `next`. */
function slotsToDraw(size: number, next: number | undefined): number[] {
	if (size <= LARGEST_RING) {
		return Array.from({length: size}, (_, slot) => slot);
	}
	const first = (next ?? 0) - ARC / 2;
	return Array.from({length: ARC}, (_, index) => (((first + index) % size) + size) % size);
}

function drawRings(ring: RingState): string[] {
	const slots = slotsToDraw(ring.size, ring.nextAvail);
	const whole = slots.length === ring.size;
	const cells = cellsOf(ring, slots);
	const title = 'slot:head in the available ring|id in the used ring (* in flight, > next)';
	if (whole) {
		return [title, ...drawRing(cells)];
	}
	const texts = cells.map(({slot, text}) => `${slot}:${text}`);
	return [`${title}, slots ${slots[0]} to ${slots.at(-1)} of ${ring.size}`, `  ... ${texts.join('  ')} ...`];
}

function descriptorLine({index, addr, len, flags, next, indirect}: DescriptorRecord, last: boolean): string {
	const kind =
		flags & VIRTQ_DESC_F_INDIRECT ? 'table' : flags & VIRTQ_DESC_F_WRITE ? 'device writes' : 'device reads';
	const link = flags & VIRTQ_DESC_F_NEXT ? ` --> ${next}` : '';
	const where = indirect ? `table[${index}]` : `desc[${index}]`;
	return `    ${last ? '`-' : '|-'} ${where.padEnd(10)} ${formatGpa(addr)} + ${formatSize(len).padEnd(9)} ${kind}${link}`;
}

function drawChain(chain: RingChain): string[] {
	const state = chain.usedNumber === undefined ? 'in flight' : `used in packet ${chain.usedNumber}`;
	const shown = chain.descriptors;
	const more = chain.descriptorCount - shown.length;
	return [
		`  head ${chain.head}, avail [${chain.ringIndex}] in packet ${chain.number}, ${state}`,
		...shown.map((descriptor, index) => descriptorLine(descriptor, more === 0 && index === shown.length - 1)),
		...(more > 0 ? [`    \`- ${more} more`] : []),
	];
}

/** One ring as lines. Chains in flight first, then the last ones that came back. */
export function drawRingState(ring: RingState, recentChains = 3): string[] {
	const index = (value: number | undefined): string => (value === undefined ? '?' : String(value));
	const lines = [
		`${ring.label} (slot ${ring.device}, queue ${ring.queue}): ${ring.ready ? '' : 'not ready, '}` +
			`${ring.size > 0 ? `${ring.size} entries` : 'size unknown'}, ` +
			`device takes avail [${index(ring.nextAvail)}] next, fills used [${index(ring.nextUsed)}] next, ` +
			`${ring.inFlight.length} in flight`,
	];
	if (ring.indices) {
		const {availIdx, usedEvent, availFlags, usedIdx, availEvent, usedFlags} = ring.indices;
		lines.push(
			`in guest memory (packet ${ring.indicesNumber}): avail.flags ${availFlags} avail.idx ${availIdx} ` +
				`used_event ${usedEvent} | used.flags ${usedFlags} used.idx ${usedIdx} avail_event ${availEvent}`,
		);
	}
	if (ring.size > 0 && ring.chains.size > 0) {
		lines.push(...drawRings(ring));
	}
	const returned = [...ring.chains.values()]
		.filter(({usedNumber}) => usedNumber !== undefined)
		.sort((left, right) => right.usedNumber! - left.usedNumber!)
		.slice(0, recentChains);
	const chains = [...ring.inFlight, ...returned];
	if (chains.length > 0) {
		lines.push('descriptor table, by chain', ...chains.flatMap(drawChain));
	}
	return lines;
}
