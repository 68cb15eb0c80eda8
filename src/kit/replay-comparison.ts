/**
 * What a device does in a replay against what the capture says. Order counts where the specification makes it count:
 * elements of one used ring, and the discards of a chain against its completion. A device that answers sooner than the
 * one in the capture, or serves two queues the other way round, is no other device for that.
 */
import type {VmEvent} from '../events.js';
import {registerName} from '../inspect/names.js';
import {words} from '../inspect/check/rule.js';
import {MMIO_REGISTERS, mmioRegisterAt} from '../virtio/spec.js';
import type {CapturedTraffic, CapturedUsed, EventOf, QueueLife} from './captured-traffic.js';
import {joined, sameBytes, type Range} from './ranges.js';

/** One side of a difference: in words, and as little-endian bytes. */
export interface Evidence {
	readonly text: string;
	readonly bytes: Uint8Array;
}

export interface Divergence {
	/** The packet's number in the capture. */
	readonly frame: number;
	readonly timeNs: number;
	/** What differs: a register, a used element, discards, Status, the interrupt line. */
	readonly what: string;
	readonly captured: Evidence;
	readonly replayed: Evidence;
}

/** How far one queue has come: elements that the capture has shown, and that the device has pushed. */
interface QueueProgress {
	readonly life: QueueLife;
	shown: number;
	pushed: number;
}

/** Identity, or a count of the device's own: no two devices need agree on them. */
const OWN_CHOICE: ReadonlySet<number> = new Set([
	MMIO_REGISTERS.VendorID.at,
	MMIO_REGISTERS.ConfigGeneration.at,
]);
const NOTHING: Evidence = {text: 'nothing', bytes: new Uint8Array(0)};

export class ReplayComparison {
	/** The first one; after it nothing is compared any more. */
	divergence: Divergence | undefined;
	/** Register reads, used elements, and bytes of discards that were compared. */
	readonly compared = {reads: 0, used: 0, discardedBytes: 0};
	readonly #traffic: CapturedTraffic;
	readonly #note: (what: string) => void;
	/** The event of the capture at hand. */
	#index = 0;
	readonly #queues = new Map<number, QueueProgress>();
	#deviceFeaturesSel = 0;
	#status: {value: number; frame: number};
	#line = {level: false, frame: 0};
	/** Of the device in the replay: what was discarded of each chain that it has, by queue and head. */
	readonly #open = new Map<string, Range[]>();
	/** By queue and head: the captured completion that the chain's own was compared with. */
	readonly #returned = new Map<string, CapturedUsed>();
	/** Late discards so far, in the capture and in the replay. */
	readonly #late = new Map<CapturedUsed, {captured: Range[]; replayed: Range[]; frame: number}>();

	/** `note` counts what cannot be compared. */
	constructor(traffic: CapturedTraffic, note: (what: string) => void) {
		this.#traffic = traffic;
		this.#note = note;
		this.#status = {value: traffic.initialStatus, frame: 0};
	}

	/** The replay comes to an event of the capture. */
	at(index: number): void {
		this.#index = index;
	}

	begin(life: QueueLife): void {
		for (const chains of [this.#open, this.#returned]) {
			[...chains.keys()]
				.filter((key) => key.startsWith(`${life.queue}/`))
				.forEach((key) => chains.delete(key));
		}
		this.#queues.set(life.queue, {life, shown: 0, pushed: 0});
	}

	/** All queues are gone. */
	reset(): void {
		this.#queues.clear();
		this.#open.clear();
		this.#returned.clear();
		this.#late.clear();
	}

	/** True if the device has pushed no more than the capture shows. */
	get inStep(): boolean {
		return [...this.#queues.values()].every(({shown, pushed}) => shown === pushed);
	}

	/** The device's element for the next one of the capture is there already. */
	hasPushed(queue: number): boolean {
		const progress = this.#queues.get(queue);
		return progress !== undefined && progress.pushed > progress.shown;
	}

	/** An event of the device in the replay. */
	replayed(event: VmEvent): void {
		if (this.divergence) {
			return;
		}
		if (event.type === 'avail') {
			this.#open.set(`${event.queue}/${event.head}`, []);
		} else if (event.type === 'discard' && event.skipped === undefined) {
			this.#replayedDiscard(event);
		} else if (event.type === 'used') {
			this.#replayedUsed(event);
		}
	}

	/** An event of the device in the capture, after what led to it was played. */
	captured(event: VmEvent): void {
		const {frame} = this.#traffic.events[this.#index]!;
		switch (event.type) {
			case 'status':
				this.#status = {value: event.to, frame};
				break;
			case 'irq-line':
				this.#line = {level: event.level, frame};
				break;
			case 'discard': {
				const used = this.#traffic.used.get(this.#index);
				if (used) {
					const late = this.#lateOf(used);
					late.captured.push(event);
					late.frame = frame;
					this.compared.discardedBytes += this.divergence ? 0 : event.sizeBytes;
				}
				break;
			}
			case 'used':
				this.#capturedUsed(event, frame);
				break;
			default: // follows from the others, or is the driver's
		}
	}

	/** A register read: the value in the capture and the one that the device gives now. */
	read({offset, width, value}: EventOf<'mmio'>, now: number): void {
		let mask = 2 ** (8 * width) - 1;
		if (this.divergence || OWN_CHOICE.has(offset)) {
			return;
		}
		if (offset === MMIO_REGISTERS.InterruptStatus.at && !this.inStep) {
			this.#note('reads of InterruptStatus while the device was ahead of the capture: not compared');
			return;
		}
		if (offset === MMIO_REGISTERS.DeviceFeatures.at && this.#deviceFeaturesSel < 2) {
			// What the driver did not accept, a device need not offer.
			mask = this.#traffic.acceptedWords[this.#deviceFeaturesSel]!;
		}
		this.compared.reads++;
		const isLimit = offset === MMIO_REGISTERS.QueueSizeMax.at;
		const same = isLimit
			? (value === 0) === (now === 0)
			: (BigInt(value) & BigInt(mask)) === (BigInt(now) & BigInt(mask));
		if (!same) {
			const evidence = (read: number): Evidence => ({
				text: `0x${read.toString(16)}`,
				bytes: words(4, read).subarray(0, width),
			});
			this.#diverge(registerName(offset), evidence(value), evidence(now));
		}
	}

	/** The driver has written a register. */
	wrote({offset, value}: EventOf<'mmio'>): void {
		if (mmioRegisterAt(offset) === 'DeviceFeaturesSel') {
			this.#deviceFeaturesSel = value;
		} else if (mmioRegisterAt(offset) === 'Status' && value === 0) {
			this.#deviceFeaturesSel = 0;
		}
	}

	/** Before driver or host acts again: all that has come of the last action is there on both sides. */
	checkpoint(status: number, level: boolean): void {
		if (status !== this.#status.value) {
			const byte = (value: number): Evidence => ({
				text: `0x${value.toString(16).padStart(2, '0')}`,
				bytes: Uint8Array.of(value),
			});
			this.#diverge('Status', byte(this.#status.value), byte(status), this.#status.frame);
		}
		if (!this.inStep) {
			return;
		}
		if (level !== this.#line.level) {
			const evidence = (up: boolean): Evidence => ({
				text: up ? 'up' : 'down',
				bytes: Uint8Array.of(Number(up)),
			});
			this.#diverge('interrupt line', evidence(this.#line.level), evidence(level), this.#line.frame);
		}
		for (const {captured, replayed, frame} of this.#late.values()) {
			if (!sameBytes(captured, replayed)) {
				const what = 'discards after the chain had come back';
				this.#diverge(what, rangesEvidence(captured), rangesEvidence(replayed), frame);
			}
		}
	}

	/** Queues of the capture and of the device differ in whether they exist. */
	queueNotReady(queue: number): void {
		this.#diverge(
			`QueueReady of queue ${queue}`,
			{text: '1', bytes: words(4, 1)},
			{text: '0', bytes: words(4, 0)},
		);
	}

	#capturedUsed(event: EventOf<'used'>, frame: number): void {
		const progress = this.#queues.get(event.queue);
		if (!progress) {
			return;
		}
		if (progress.pushed <= progress.shown) {
			const {life, shown} = progress;
			this.#diverge(`used element ${shown} of ${nameOf(life)}`, usedEvidence(event), NOTHING, frame);
		}
		progress.shown++;
	}

	#replayedUsed(event: EventOf<'used'>): void {
		const progress = this.#queues.get(event.queue);
		if (!progress) {
			this.#diverge(`used element of queue ${event.queue}`, NOTHING, usedEvidence(event));
			return;
		}
		const {life} = progress;
		const what = `used element ${progress.pushed} of ${nameOf(life)}`;
		const expected = life.used[progress.pushed++];
		const key = `${event.queue}/${event.head}`;
		const discarded = this.#open.get(key) ?? [];
		this.#open.delete(key);
		if (!expected) {
			this.#diverge(what, NOTHING, usedEvidence(event));
			return;
		}
		const {ringIndex, head, len} = expected.event;
		if (ringIndex !== event.ringIndex || head !== event.head || len !== event.len) {
			// It belongs to what the capture shows next, or the capture shows nothing of it for now.
			const now = !this.#traffic.driverActed(this.#index, expected.index);
			const evidence = now ? usedEvidence(expected.event) : NOTHING;
			this.#diverge(what, evidence, usedEvidence(event), now ? expected.frame : undefined);
			return;
		}
		this.compared.used++;
		this.#returned.set(key, expected);
		if (expected.incomparable !== undefined) {
			this.#note(`${expected.incomparable}: not compared`);
		} else if (sameBytes(expected.discarded, discarded)) {
			this.compared.discardedBytes += discarded.reduce((sum, {sizeBytes}) => sum + sizeBytes, 0);
		} else {
			this.#diverge(
				`discards before head ${head} of ${nameOf(life)} came back`,
				rangesEvidence(expected.discarded),
				rangesEvidence(discarded),
				expected.discardFrame ?? expected.frame,
			);
		}
	}

	#replayedDiscard(event: EventOf<'discard'>): void {
		const key = `${event.queue}/${event.head}`;
		const open = this.#open.get(key);
		const used = this.#returned.get(key);
		if (open) {
			open.push(event);
		} else if (used) {
			this.#lateOf(used).replayed.push(event);
		} else {
			this.#diverge('a discard that no chain asked for', NOTHING, rangesEvidence([event]));
		}
	}

	#lateOf(used: CapturedUsed) {
		let late = this.#late.get(used);
		if (!late) {
			late = {captured: [], replayed: [], frame: this.#traffic.events[this.#index]!.frame};
			this.#late.set(used, late);
		}
		return late;
	}

	#diverge(what: string, captured: Evidence, replayed: Evidence, frame?: number): void {
		const {events} = this.#traffic;
		const at = events[this.#index]!;
		const event = frame === undefined ? at : (events.find((other) => other.frame === frame) ?? at);
		this.divergence ??= {frame: event.frame, timeNs: event.timeNs, what, captured, replayed};
	}
}

function nameOf({name, queue}: QueueLife): string {
	return name === '' ? `queue ${queue}` : name;
}

function usedEvidence({ringIndex, head, len}: EventOf<'used'>): Evidence {
	return {text: `index ${ringIndex}, id ${head}, len ${len}`, bytes: words(4, head, len)};
}

function rangesEvidence(ranges: readonly Range[]): Evidence {
	const list = joined(ranges);
	return {
		text: list.map(({base, sizeBytes}) => `0x${base.toString(16)}+${sizeBytes}`).join(', ') || 'nothing',
		bytes: words(8, ...list.flatMap(({base, sizeBytes}) => [base, sizeBytes])),
	};
}
