/**
 * A reader with a filter in front: keeps the context that fields need (first time, linked requests), counts records that
 * cannot be read, and hands on what matches.
 */
import type {PacketContext} from './access.js';
import type {Filter} from './filter/compile.js';
import {Linker} from './link.js';
import type {Packet} from './packet.js';
import {PcapngReader} from './pcapng-reader.js';

export interface PacketConsumerOptions {
	/** All must match. */
	readonly filters?: readonly Filter[];
	/** Returning false ends the reading. `comments` reads the packet's comments. */
	readonly onPacket: (packet: Packet, context: PacketContext, comments: () => string[]) => boolean | void;
}

export interface PacketSourceOptions extends PacketConsumerOptions {
	/** The input has ended, or broke off. */
	readonly onFinish?: () => void;
}

/** Takes packets from wherever they come. */
export class PacketConsumer {
	/** Records that contradict their layout; they match no filter but an empty one. */
	malformed = 0;
	firstMalformedOffset = 0;
	/** Number of the last packet, whether it matched or not. */
	lastNumber = 0;
	readonly #context: PacketContext = {firstTimeNs: -1, linker: new Linker()};
	readonly #filters: readonly Filter[];
	readonly #onPacket: PacketConsumerOptions['onPacket'];

	constructor({filters = [], onPacket}: PacketConsumerOptions) {
		this.#filters = filters;
		this.#onPacket = onPacket;
	}

	/** False if no more packets are wanted. */
	take(packet: Packet, comments: () => string[] = () => []): boolean | void {
		const context = this.#context;
		this.lastNumber = packet.number;
		if (context.firstTimeNs < 0) {
			context.firstTimeNs = packet.timeNs;
		}
		if (packet.problem() === undefined) {
			context.linker.observe(packet);
			for (const filter of this.#filters) {
				if (!filter.test(packet, context)) {
					return;
				}
			}
		} else {
			if (this.malformed++ === 0) {
				this.firstMalformedOffset = packet.fileOffset;
			}
			if (this.#filters.length > 0) {
				return;
			}
		}
		return this.#onPacket(packet, context, comments);
	}
}

/** Takes the packets of a capture: feed `reader`, then call `finish`. */
export class PacketSource extends PacketConsumer {
	readonly reader: PcapngReader;
	readonly finish: () => void;

	constructor(options: PacketSourceOptions) {
		super(options);
		this.reader = new PcapngReader((packet) => this.take(packet, () => this.reader.comments(packet)));
		this.finish = options.onFinish ?? (() => {});
	}
}
