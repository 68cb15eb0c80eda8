/**
 * What a driver and a host do in a differential sequence, as plain data. An action says what is wanted; the driver
 * (legal-driver.ts) does it where the specification allows it at that moment and leaves it out where it does not. So
 * every part of a sequence is a legal sequence, too, and can be made small.
 */
import type {BalloonQueueName} from '../virtio/balloon/spec.js';

/** Whether a kick follows: in any case, if the device wishes one (VIRTIO 1.4 2.7.10.1), or not yet. */
export type Kick = 'always' | 'if-wanted' | 'later';

/** The queues that are played. Free page hints are not on offer. */
export type PlayedQueue = Exclude<BalloonQueueName, 'free_page_vq'>;

/**
 * An indirect table, if INDIRECT_DESC was accepted: so many bytes off the alignment of descriptors, with its entries
 * behind the first from the end to the front, and with WRITE set on the descriptor that refers to it, which means nothing
 * (VIRTIO 1.4 2.7.5.3.2).
 */
export interface IndirectTable {
	skew: number;
	backwards: boolean;
	write: boolean;
}

/** How a message of bytes is framed: cut at these offsets (modulo its length), in an indirect table or not. */
export interface Framing {
	cuts: number[];
	indirect: IndirectTable | null;
}

/** Page numbers count from the start of the playground, modulo its size. */
export interface PfnMessage extends Framing {
	pages: number[];
}

export interface ReportMessage {
	/** First page and number of pages of each range. */
	ranges: [page: number, pages: number][];
	indirect: IndirectTable | null;
}

export type Action =
	/** VIRTIO 1.4 3.1.1 up to FEATURES_OK, with these of the first and the second 32 feature bits, as far as they are offered. */
	| {op: 'negotiate'; low: number; high: number}
	/**
	 * 4.2.3.2: a queue of 2^order entries. Its areas lie in the order that `turn` says, each `gap` bytes behind the last
	 * and `skew` times its least alignment further.
	 */
	| {op: 'queue'; queue: PlayedQueue; order: number; gap: number; skew: number; turn: number}
	| {op: 'driver-ok'}
	| {op: 'reset'}
	/** The driver gives up: FAILED, after which only a reset is legal. */
	| {op: 'fail'}
	/** Messages on inflateq or deflateq, one chain each. */
	| {op: 'pfns'; queue: 'inflateq' | 'deflateq'; messages: PfnMessage[]; kick: Kick}
	| {op: 'report'; messages: ReportMessage[]; kick: Kick}
	/** The next statistics buffer: entries of tag and the two halves of the value. */
	| ({op: 'stats'; entries: [tag: number, low: number, high: number][]; kick: Kick} & Framing)
	| {op: 'kick'; queue: PlayedQueue}
	/** avail.flags without EVENT_IDX, and used_event at a distance from used.idx. */
	| {op: 'suppress'; queue: PlayedQueue; noInterrupt: boolean; ahead: number}
	| {op: 'acknowledge'; causes: number}
	/** `count` chains, a ring full at a time, all of one buffer: the indices move on. */
	| {op: 'spin'; queue: 'inflateq' | 'deflateq' | 'reporting_vq'; count: number; page: number}
	/** The driver writes to its own pages. */
	| {op: 'store'; page: number; pages: number; value: number}
	| {op: 'read-config'; at: number; width: 1 | 2 | 4}
	| {op: 'actual'; at: number; width: 1 | 2 | 4; value: number}
	| {op: 'poison'; value: number}
	/** The host wants a balloon of so many pages. */
	| {op: 'target'; pages: number}
	/** The host asks for statistics. */
	| {op: 'ask-stats'};

/** What memory holds before the first action: page n of the playground is filled with a word of its own. */
export interface SequenceSetup {
	fill: number;
}
