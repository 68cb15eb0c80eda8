/**
 * Reads ftrace text of the kmem events (Linux include/trace/events/kmem.h): bytes in, columns of numbers out, a batch
 * at a time, so that a trace of any length needs the memory of one batch.
 */
import {UsageError} from '../errors.js';

/** What a line says. The names are the tracepoints' own. */
export const MM_PAGE_ALLOC = 1;
export const MM_PAGE_FREE = 2;
export const MM_PAGE_ALLOC_ZONE_LOCKED = 3;
export const MM_PAGE_ALLOC_EXTFRAG = 4;
export const MM_PAGE_PCPU_DRAIN = 5;
/** `tracing_mark_write`: text, in `FtraceBatch.markers`. */
export const MARKER = 6;

/** Events in one batch, as columns. Only [0, count) is valid. */
export interface FtraceBatch {
	count: number;
	/** Number of the batch's first event in the trace, from 0. */
	firstEvent: number;
	/** MM_PAGE_... or MARKER. */
	kind: Uint8Array;
	/** Microseconds, as the trace prints them. */
	timeUs: Float64Array;
	pfn: Uint32Array;
	/** Order of the pages; for EXTFRAG the order that was asked. */
	order: Uint8Array;
	/** EXTFRAG: the order of the block that was taken from another type's list. */
	fallbackOrder: Uint8Array;
	/** Migratetype that was asked (255 where the event has none). */
	migratetype: Uint8Array;
	/** ZONE_LOCKED: 1 if the page fills a per-cpu list. */
	percpuRefill: Uint8Array;
	/** Texts of the MARKER events, by index in this batch. */
	markers: Map<number, string>;
}

const BATCH_EVENTS = 1 << 16;
const NO_MIGRATETYPE = 255;

const LF = 0x0a;
const SPACE = 0x20;
const HASH = 0x23;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const EQUALS = 0x3d;
const CLOSE_BRACKET = 0x5d;
const LOWER_A = 0x61;
const LOWER_F = 0x66;
const LOWER_M = 0x6d;
const LOWER_O = 0x6f;
const LOWER_P = 0x70;
const LOWER_X = 0x78;

function newBatch(firstEvent: number): FtraceBatch {
	return {
		count: 0,
		firstEvent,
		kind: new Uint8Array(BATCH_EVENTS),
		timeUs: new Float64Array(BATCH_EVENTS),
		pfn: new Uint32Array(BATCH_EVENTS),
		order: new Uint8Array(BATCH_EVENTS),
		fallbackOrder: new Uint8Array(BATCH_EVENTS),
		migratetype: new Uint8Array(BATCH_EVENTS),
		percpuRefill: new Uint8Array(BATCH_EVENTS),
		markers: new Map(),
	};
}

/** Parses chunks of ftrace text and hands out full batches. Throws UsageError with the line number. */
export class FtraceParser {
	readonly #name: string;
	#batch = newBatch(0);
	#carry: Buffer = Buffer.alloc(0);
	#line = 0;
	#events = 0;

	/** `name` is the file's name, for messages. */
	constructor(name: string) {
		this.#name = name;
	}

	/** Events parsed so far. */
	get events(): number {
		return this.#events;
	}

	/** Parses all whole lines of the carried bytes and the chunk; calls `onBatch` whenever a batch is full. */
	push(chunk: Buffer, onBatch: (batch: FtraceBatch) => void): void {
		const bytes = this.#carry.length > 0 ? Buffer.concat([this.#carry, chunk]) : chunk;
		let start = 0;
		for (;;) {
			const end = bytes.indexOf(LF, start);
			if (end < 0) {
				break;
			}
			this.#parseLine(bytes, start, end);
			if (this.#batch.count === BATCH_EVENTS) {
				this.#flush(onBatch);
			}
			start = end + 1;
		}
		// A copy: the chunk may be a view of a buffer that the reader uses again.
		this.#carry = Buffer.from(bytes.subarray(start));
		if (this.#carry.length > 1 << 20) {
			throw this.#error('has a line of over 1 MiB: this is no ftrace text');
		}
	}

	/** Ends the trace: hands out the last batch. Throws if the text stops inside a line, or had no event at all. */
	finish(onBatch: (batch: FtraceBatch) => void): void {
		if (this.#carry.length > 0) {
			this.#line++;
			throw this.#error('stops in the middle of a line: the trace is truncated');
		}
		if (this.#events === 0) {
			throw new UsageError(
				`--trace ${JSON.stringify(this.#name)} holds no kmem event: wanted is ftrace text with mm_page_alloc, ` +
					'mm_page_free, mm_page_alloc_zone_locked and mm_page_pcpu_drain, plain or gzipped',
				{flag: '--trace', value: this.#name},
			);
		}
		if (this.#batch.count > 0) {
			this.#flush(onBatch);
		}
	}

	#flush(onBatch: (batch: FtraceBatch) => void): void {
		const batch = this.#batch;
		this.#batch = newBatch(batch.firstEvent + batch.count);
		onBatch(batch);
	}

	/** `TASK-PID [CPU] FLAGS SECONDS.MICROS: EVENT: key=value ...`; other lines are passed over. */
	#parseLine(bytes: Buffer, start: number, end: number): void {
		this.#line++;
		if (start === end || bytes[start] === HASH) {
			return;
		}
		let at = bytes.indexOf(CLOSE_BRACKET, start) + 1;
		if (at === 0 || at >= end) {
			this.#checkText(bytes, start, end);
			return;
		}
		const colon = bytes.indexOf(COLON, at);
		if (colon < 0 || colon >= end) {
			return;
		}
		// The time is the last word before the colon.
		at = colon;
		while (bytes[at - 1] !== SPACE && at > start) {
			at--;
		}
		let seconds = 0;
		let micros = 0;
		let digits = -1;
		for (; at < colon; at++) {
			const byte = bytes[at]!;
			if (byte === DOT) {
				digits = 0;
			} else if (byte >= ZERO && byte <= NINE) {
				if (digits < 0) {
					seconds = seconds * 10 + byte - ZERO;
				} else if (digits < 6) {
					micros = micros * 10 + byte - ZERO;
					digits++;
				}
			} else {
				return;
			}
		}
		for (; digits >= 0 && digits < 6; digits++) {
			micros *= 10;
		}
		const nameStart = colon + 2;
		const nameEnd = bytes.indexOf(COLON, nameStart);
		if (nameEnd < 0 || nameEnd >= end) {
			return;
		}
		const kind = eventKind(bytes, nameStart, nameEnd - nameStart);
		if (kind === 0) {
			return;
		}
		const batch = this.#batch;
		const index = batch.count;
		if (kind === MARKER) {
			batch.markers.set(index, bytes.toString('latin1', nameEnd + 2, end));
		} else {
			this.#parseFields(bytes, nameEnd + 1, end, kind, index);
		}
		batch.kind[index] = kind;
		batch.timeUs[index] = seconds * 1e6 + micros;
		batch.count++;
		this.#events++;
	}

	#parseFields(bytes: Buffer, from: number, end: number, kind: number, index: number): void {
		const batch = this.#batch;
		let found = 0;
		batch.migratetype[index] = NO_MIGRATETYPE;
		batch.percpuRefill[index] = 0;
		let at = from;
		while (at < end) {
			while (at < end && bytes[at] === SPACE) {
				at++;
			}
			const key = at;
			while (at < end && bytes[at] !== EQUALS && bytes[at] !== SPACE) {
				at++;
			}
			if (bytes[at] !== EQUALS) {
				continue;
			}
			const length = at - key;
			const first = bytes[key]!;
			const value = ++at;
			while (at < end && bytes[at] !== SPACE) {
				at++;
			}
			if (length === 3 && first === LOWER_P) {
				batch.pfn[index] = readNumber(bytes, value, at);
				found |= 1;
			} else if ((length === 5 && first === LOWER_O) || (length === 11 && first === LOWER_A)) {
				batch.order[index] = readNumber(bytes, value, at);
				found |= 2;
			} else if ((length === 11 && first === LOWER_M) || (length === 17 && first === LOWER_A)) {
				batch.migratetype[index] = readNumber(bytes, value, at);
			} else if (length === 13 && first === LOWER_P) {
				batch.percpuRefill[index] = readNumber(bytes, value, at);
			} else if (length === 14 && first === LOWER_F && kind === MM_PAGE_ALLOC_EXTFRAG) {
				batch.fallbackOrder[index] = readNumber(bytes, value, at);
			}
		}
		if (found !== 3) {
			throw this.#error('names a kmem event without pfn and order: the trace is damaged or truncated');
		}
		if (batch.order[index]! > 10) {
			throw this.#error(`has order ${batch.order[index]}: legal are 0 to 10`);
		}
	}

	/** A line without a CPU column is passed over, unless its bytes show that the file is no text at all. */
	#checkText(bytes: Buffer, start: number, end: number): void {
		for (let at = start; at < end; at++) {
			if (bytes[at] === 0) {
				throw this.#error('is binary: wanted is ftrace text, plain or gzipped');
			}
		}
	}

	#error(what: string): UsageError {
		return new UsageError(`--trace ${JSON.stringify(this.#name)} line ${this.#line} ${what}`, {
			flag: '--trace',
			value: this.#name,
			line: this.#line,
		});
	}
}

/** The tracepoint's number, 0 for any other. The lengths of the seven names tell all but two of them apart. */
function eventKind(bytes: Buffer, start: number, length: number): number {
	const isKmem = bytes[start] === LOWER_M && bytes[start + 1] === LOWER_M;
	switch (length) {
		case 12:
			return isKmem ? MM_PAGE_FREE : 0;
		case 13:
			return isKmem ? MM_PAGE_ALLOC : 0;
		case 18:
			return isKmem
				? MM_PAGE_PCPU_DRAIN
				: bytes.toString('latin1', start, start + 18) === 'tracing_mark_write'
					? MARKER
					: 0;
		case 21:
			return isKmem ? MM_PAGE_ALLOC_EXTFRAG : 0;
		case 25:
			return isKmem ? MM_PAGE_ALLOC_ZONE_LOCKED : 0;
		default:
			return 0;
	}
}

/** Decimal or 0x-hexadecimal; stops at the first other byte. */
function readNumber(bytes: Buffer, start: number, end: number): number {
	let value = 0;
	if (bytes[start] === ZERO && bytes[start + 1] === LOWER_X) {
		for (let at = start + 2; at < end; at++) {
			const byte = bytes[at]!;
			if (byte >= ZERO && byte <= NINE) {
				value = value * 16 + byte - ZERO;
			} else if (byte >= LOWER_A && byte <= LOWER_F) {
				value = value * 16 + byte - LOWER_A + 10;
			} else {
				break;
			}
		}
		return value;
	}
	for (let at = start; at < end; at++) {
		const byte = bytes[at]!;
		if (byte < ZERO || byte > NINE) {
			break;
		}
		value = value * 10 + byte - ZERO;
	}
	return value;
}
