/** `--queue NAME|NUMBER`: packets of one queue, and a word about the others where there are none. */
import {UsageError} from '../errors.js';
import type {PacketContext} from '../inspect/access.js';
import {QUEUE_ROLES} from '../inspect/fields.js';
import {compileFilter, type Filter} from '../inspect/filter/compile.js';
import type {Packet} from '../inspect/packet.js';
import {packetQueue} from '../inspect/views/line.js';
import {readInteger} from './values.js';

const LAST_QUEUE = 65_534;

export class QueueFilter implements Filter {
	readonly linked = false;
	readonly #text: string;
	readonly #inner: Filter;
	readonly #others = new Set<string>();
	#found = false;

	/** Throws UsageError for what is neither a queue's name nor a number. */
	constructor(text: string) {
		const isNumber = /^\d+$/.test(text);
		if (!isNumber && !QUEUE_ROLES.includes(text as never)) {
			throw new UsageError(
				`--queue ${JSON.stringify(text)} is neither a queue's number nor one of ${QUEUE_ROLES.join(', ')}`,
			);
		}
		this.#text = text;
		this.#inner = compileFilter(
			isNumber
				? `vmsim.queue == ${readInteger('--queue', text, 0, LAST_QUEUE)}`
				: `vmsim.queue.role == ${JSON.stringify(text)}`,
		);
	}

	test(packet: Packet, context: PacketContext): boolean {
		const matches = this.#inner.test(packet, context);
		this.#found ||= matches;
		if (!this.#found && packet.hasQueue && this.#others.size < QUEUE_ROLES.length) {
			this.#others.add(packetQueue(packet));
		}
		return matches;
	}

	isMeant({label, queue}: {label: string; queue: number}): boolean {
		return this.#text === label || this.#text === String(queue);
	}

	/** What to say of what has been read; undefined if the queue was there. */
	get absence(): string | undefined {
		const others = this.#others.size === 0 ? 'nor of any other' : `there are ${[...this.#others].join(', ')}`;
		return this.#found ? undefined : `no packet of --queue ${this.#text}, ${others}`;
	}
}
