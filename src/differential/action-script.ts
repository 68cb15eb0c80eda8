/** Chooses the actions of a sequence: a driver that comes up, works, and now and then starts over. */
import type {Random} from '../guest-kernel/random.js';
import {VIRTIO_BALLOON_F_PAGE_REPORTING, VIRTIO_BALLOON_F_STATS_VQ} from '../virtio/balloon/spec.js';
import {VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC} from '../virtio/spec.js';
import type {Action, Framing, IndirectTable, Kick, PlayedQueue} from './action.js';
import type {LegalDriver} from './legal-driver.js';

const QUEUES: readonly PlayedQueue[] = ['inflateq', 'deflateq', 'statsq', 'reporting_vq'];
/** More than there are pages: numbers are taken modulo. */
const PAGES = 4096;
/** Distances of used_event at which something changes. */
const AHEAD = [0, 0, 0, 1, 2, 3, 7, 64, 0x7fff, 0x8000, 0xfffe, 0xffff];
const SPUN = ['inflateq', 'deflateq', 'reporting_vq'] as const;
const LARGE = 64;
/** Past the wrap of the indices. */
const SPIN = 0x1_0000 + 2048;

export class ActionScript {
	readonly #random: Random;
	readonly #driver: LegalDriver;
	#planned: Action[] = [];

	constructor(random: Random, driver: LegalDriver) {
		this.#random = random;
		this.#driver = driver;
	}

	next(): Action {
		if (this.#planned.length === 0) {
			this.#planned = this.#plan().reverse();
		}
		return this.#planned.pop()!;
	}

	#plan(): Action[] {
		switch (this.#driver.stage) {
			case 'reset':
				return this.#one(0.1) ? [this.#anything()] : this.#bringUp();
			case 'failed':
				return this.#one(0.5) ? [this.#anything()] : [{op: 'reset'}];
			default:
				return this.#goOn();
		}
	}

	#goOn(): Action[] {
		const dice = this.#random.below(200);
		if (dice < 4) {
			return [{op: dice < 3 ? 'reset' : 'fail'}];
		}
		if (dice === 4) {
			return this.#spin();
		}
		// Otherwise most causes would be set already when the next comes.
		return dice < 50 ? [{op: 'acknowledge', causes: 3}, this.#work()] : [this.#work()];
	}

	/** VIRTIO 1.4 3.1.1, with the queues in any order and other things in between. */
	#bringUp(): Action[] {
		const actions: Action[] = [{op: 'negotiate', low: this.#features(), high: this.#random.next32()}];
		const queues = this.#shuffled(QUEUES).filter(() => this.#one(0.95));
		for (const queue of queues) {
			actions.push(this.#queue(queue));
			if (this.#one(0.2)) {
				actions.push(this.#one(0.5) ? this.#work() : this.#suppress(queue));
			}
		}
		if (this.#one(0.6)) {
			const poison: Action = {op: 'poison', value: this.#one(0.5) ? 0 : this.#random.next32()};
			actions.splice(1 + this.#random.below(actions.length), 0, poison);
		}
		return [...actions, {op: 'driver-ok'}];
	}

	/** Any of 32 bits; those that the rings hang on more often than not. */
	#features(): number {
		const often =
			2 ** VIRTIO_BALLOON_F_STATS_VQ + 2 ** VIRTIO_BALLOON_F_PAGE_REPORTING + 2 ** VIRTIO_F_INDIRECT_DESC;
		const eventIdx = this.#one(0.6) ? 2 ** VIRTIO_F_EVENT_IDX : 0;
		const likely = this.#one(0.7) ? often : 0;
		return ((this.#random.next32() & ~(2 ** VIRTIO_F_EVENT_IDX)) | likely | eventIdx) >>> 0;
	}

	#queue(queue: PlayedQueue): Action {
		return {
			op: 'queue',
			queue,
			order: this.#random.below(11),
			gap: this.#one(0.4) ? 0 : this.#random.logUniform(1, 8192),
			skew: this.#one(0.5) ? 0 : 1 + this.#random.below(9),
			turn: this.#random.below(6),
		};
	}

	#work(): Action {
		const dice = this.#random.below(100);
		if (dice < 24) {
			return this.#pfns('inflateq');
		}
		if (dice < 34) {
			return this.#pfns('deflateq');
		}
		if (dice < 52) {
			return this.#report();
		}
		if (dice < 61) {
			return this.#stats();
		}
		if (dice < 64) {
			return {op: 'ask-stats'};
		}
		if (dice < 76) {
			return this.#suppress(this.#pick(QUEUES));
		}
		return this.#anything();
	}

	/** What a driver or a host can do at almost any time. */
	#anything(): Action {
		const dice = this.#random.below(20);
		if (dice < 5) {
			return {op: 'acknowledge', causes: this.#random.below(4)};
		}
		if (dice < 10) {
			const value = this.#random.next32();
			return {op: 'store', page: this.#random.below(PAGES), pages: this.#random.logUniform(1, 64), value};
		}
		if (dice < 13) {
			const width = this.#pick([1, 2, 4] as const);
			return {op: 'read-config', at: this.#random.below(17 - width), width};
		}
		if (dice < 15) {
			const width = this.#pick([1, 2, 4] as const);
			return {op: 'actual', at: this.#random.below(5 - width), width, value: this.#random.next32()};
		}
		if (dice < 18) {
			return {op: 'target', pages: this.#one(0.3) ? 0 : this.#random.below(1024)};
		}
		return {op: 'kick', queue: this.#pick(QUEUES)};
	}

	#pfns(queue: 'inflateq' | 'deflateq'): Action {
		const messages = this.#some(6, () => {
			const count = this.#one(0.3) ? 1 : this.#random.logUniform(1, this.#one(0.05) ? 1024 : 64);
			const first = this.#random.below(PAGES);
			const isRun = this.#one(0.3);
			return {
				pages: Array.from({length: count}, (_, i) => (isRun ? first + i : this.#random.below(PAGES))),
				...this.#framing(4 * count),
			};
		});
		return {op: 'pfns', queue, messages, kick: this.#kick()};
	}

	#report(): Action {
		const messages = this.#some(4, () => ({
			ranges: this.#some(this.#one(0.1) ? 32 : 5, (): [number, number] => {
				const pages = this.#one(0.5) ? 2 ** this.#random.below(10) : this.#random.logUniform(1, 512);
				const page = this.#random.below(PAGES);
				return [this.#one(0.5) ? page - (page % pages) : page, pages];
			}),
			indirect: this.#indirect(),
		}));
		return {op: 'report', messages, kick: this.#kick()};
	}

	#stats(): Action {
		const entries = this.#some(18, (): [number, number, number] => [
			this.#one(0.9) ? this.#random.below(16) : this.#random.below(0x1_0000),
			this.#random.next32(),
			this.#one(0.5) ? 0 : this.#random.next32(),
		]);
		return {op: 'stats', entries, ...this.#framing(10 * entries.length), kick: this.#kick()};
	}

	#suppress(queue: PlayedQueue): Action {
		return {op: 'suppress', queue, noInterrupt: this.#one(0.5), ahead: this.#pick(AHEAD)};
	}

	/** Of a small ring the indices would not come far. */
	#spin(): Action[] {
		const large = SPUN.filter((queue) => (this.#driver.queues.get(queue)?.ring.size ?? 0) >= LARGE);
		const queue = this.#pick(large.length > 0 ? large : SPUN);
		const count = this.#one(0.8) ? SPIN - this.#random.below(4096) : this.#random.logUniform(1, SPIN);
		// The kick brings everything back that is still on the ring.
		return [
			{op: 'kick', queue},
			{op: 'spin', queue, count, page: this.#random.below(PAGES)},
		];
	}

	#framing(bytes: number): Framing {
		const cuts = this.#one(0.5) ? [] : this.#some(6, () => this.#random.below(bytes));
		return {cuts, indirect: this.#indirect()};
	}

	#indirect(): IndirectTable | null {
		return this.#one(0.5)
			? {skew: this.#random.below(16), backwards: this.#one(0.3), write: this.#one(0.3)}
			: null;
	}

	#kick(): Kick {
		return this.#pick(['always', 'always', 'if-wanted', 'if-wanted', 'later'] as const);
	}

	/** One to `most`, few more likely than many. */
	#some<T>(most: number, make: () => T): T[] {
		return Array.from({length: this.#random.logUniform(1, most)}, make);
	}

	#one(probability: number): boolean {
		return this.#random.next() < probability;
	}

	#pick<T>(from: readonly T[]): T {
		return from[this.#random.below(from.length)]!;
	}

	#shuffled<T>(list: readonly T[]): T[] {
		const keys = list.map((value) => ({value, key: this.#random.next()}));
		return keys.sort((a, b) => a.key - b.key).map(({value}) => value);
	}
}
