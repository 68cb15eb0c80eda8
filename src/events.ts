/**
 * Everything that can be watched. Blocks emit typed events to an injected Trace whose default does nothing; the
 * inspector, the metrics, the sanitizer, the report and the tests all read the same events. Observation is one-way:
 * a listener gets the event and the virtual time and can change nothing. No imports: ground floor.
 *
 * `device` is the virtio-mmio slot (0..7), `queue` the queue's number on the wire, addresses are guest-physical bytes.
 */

/** One 16-byte descriptor as it lies in guest memory (VIRTIO 1.4 2.7.5), and where it was read from. */
export interface DescriptorRecord {
	/** Index in the table it was read from. */
	index: number;
	/** True if that table is an indirect one. */
	indirect: boolean;
	/** le64: exact up to 2^53, rounded above (`raw` in a capture has the bytes). */
	addr: number;
	len: number;
	flags: number;
	next: number;
}

/**
 * Both rings' flags, indices and event fields as they lie in guest memory when the event happens (VIRTIO 1.4 2.7.6 and
 * 2.7.8): a checker proves with them that a notification was rightly sent or rightly saved.
 */
export interface RingIndices {
	availFlags: number;
	availIdx: number;
	usedEvent: number;
	usedFlags: number;
	usedIdx: number;
	availEvent: number;
}

/** Why memory that was offered to the host was not discarded. */
export type SkipReason =
	'unaligned' | 'outside-memory' | 'poison' | 'inhibited' | 'device-readable' | 'no-round';

/** A block of free pages: 2^order pages from `pfn`. */
export interface BlockRecord {
	pfn: number;
	order: number;
}

/** What a pageblock is to the reporting mechanism, one byte each in a `pageblocks` event. */
export const PAGEBLOCK_STATE = {
	/** No memory there, or never given to the buddy allocator. */
	hole: 0,
	/** No free page in it. */
	used: 1,
	/** Some pages free. */
	mixed: 2,
	/** Wholly free, not reported. */
	free: 3,
	/** Wholly free, and the host knows. */
	reported: 4,
	/** Isolated: with the device at this moment. */
	inFlight: 5,
	/** Held by the balloon (inflated). */
	ballooned: 6,
} as const;

/** Events of the device side of the wire. */
export type DeviceEvent =
	| {type: 'mmio'; device: number; write: boolean; offset: number; width: number; value: number}
	| {type: 'status'; device: number; from: number; to: number}
	| {type: 'features'; device: number; offered: bigint; accepted: bigint; ok: boolean}
	| {
			type: 'queue-ready';
			device: number;
			queue: number;
			ready: boolean;
			size: number;
			desc: number;
			driver: number;
			used: number;
			/** What the queue is for, in the words of the device's chapter: `reporting_vq`. */
			name?: string;
	  }
	| {type: 'queue-reset'; device: number; queue: number}
	/** The driver wrote QueueNotify. `ignored` says why nothing came of it, if nothing did. */
	| {
			type: 'notify';
			device: number;
			queue: number;
			ignored?: 'no-such-queue' | 'not-ready' | 'not-live' | 'needs-reset';
			ring?: RingIndices;
	  }
	/**
	 * The device popped a chain. `ringIndex` is the free-running avail index of the entry (u16). Comes for a faulty chain
	 * too, with the descriptors that could be read, before its ring-fault.
	 */
	| {
			type: 'avail';
			device: number;
			queue: number;
			ringIndex: number;
			head: number;
			/** avail->idx as the device read it when it took this entry. */
			availIdx?: number;
			descriptors: DescriptorRecord[];
			/** The descriptors' own bytes, 16 each, as they lie in guest memory, in chain order. */
			raw: Uint8Array;
			/** Up to `max` bytes of the device-readable payload. Valid only while the listener runs. */
			payload: (max: number) => Uint8Array;
	  }
	/** The device wrote a used element. `ringIndex` is the free-running used index of the entry (u16). */
	| {type: 'used'; device: number; queue: number; ringIndex: number; head: number; len: number}
	/** The used-buffer notification: sent, or suppressed by the driver's wish. */
	| {type: 'used-notification'; device: number; queue: number; sent: boolean; ring?: RingIndices}
	| {type: 'config-change'; device: number; generation: number}
	| {type: 'irq-line'; device: number; level: boolean}
	| {type: 'ring-fault'; device: number; queue: number; code: string; clause: string; detail: string}
	| {type: 'needs-reset'; device: number; reason: string}
	| {type: 'device-reset'; device: number}
	/** The host's answer to one range of one chain, before that chain is pushed used. */
	| {
			type: 'discard';
			device: number;
			queue: number;
			head: number;
			base: number;
			sizeBytes: number;
			/** Bytes that had a frame and lost it. */
			freedBytes: number;
			hugePagesSplit: number;
			skipped?: SkipReason;
	  }
	| {type: 'balloon'; device: number; targetPages: number; actualPages: number}
	| {type: 'balloon-stats'; device: number; stats: {tag: number; value: bigint}[]}
	| {type: 'hinting'; device: number; commandId: number; phase: 'requested' | 'started' | 'stopped' | 'done'};

/** Events of the host's memory. `pages` events come only if Trace.pages is set: there are millions. */
export type HostEvent =
	| {type: 'host-fault'; pfn: number; refault: boolean; huge: boolean}
	| {type: 'host-limit'; limitBytes: number}
	| {
			type: 'memory';
			guestFreeBytes: number;
			hostBackedBytes: number;
			reportedBytes: number;
			refaultedBytes: number;
			rssBytes?: number;
	  };

/** Events of the guest kernel. */
export type GuestEvent =
	| {type: 'guest-boot'; phase: string; detail?: string}
	| {type: 'console'; text: string}
	/** The driver put a chain into the ring; `kicked` is false where the device's wish suppressed the notification. */
	| {type: 'driver-kick'; device: number; queue: number; kicked: boolean; ring?: RingIndices}
	| {type: 'reporting-state'; design: string; state: string; zone?: string}
	/** Blocks are off the free lists and about to be offered to the device. */
	| {type: 'report-submit'; zone: string; blocks: BlockRecord[]}
	/** The device answered: the blocks go back to the free lists. */
	| {type: 'report-return'; zone: string; blocks: BlockRecord[]; ok: boolean}
	| {type: 'page-alloc'; pfn: number; order: number; migratetype: number}
	| {type: 'page-free'; pfn: number; order: number}
	/** A sample of every pageblock of 2^order pages from basePfn on: one PAGEBLOCK_STATE byte each. */
	| {type: 'pageblocks'; basePfn: number; order: number; states: Uint8Array}
	| {type: 'oom'; detail: string}
	| {type: 'workload'; phase: string; heldBytes: number}
	| {type: 'integrity-failure'; pfn: number; expected: number; found: number};

export type VmEvent = DeviceEvent | HostEvent | GuestEvent;

/** Where a block sends its events. Guard with `active` (or `pages`) before building the event: off must cost nothing. */
export interface Trace {
	/** Somebody listens. */
	readonly active: boolean;
	/** Somebody listens to single pages: page-alloc, page-free, host-fault. */
	readonly pages: boolean;
	emit(event: VmEvent): void;
}

/** The default: nobody listens. */
export const NO_TRACE: Trace = {active: false, pages: false, emit() {}};

export type TraceListener = (event: VmEvent, timeNs: number) => void;

/** A Trace with listeners; stamps each event with the virtual time. */
export class Tracer implements Trace {
	active = false;
	pages = false;
	#listeners: {listener: TraceListener; pages: boolean}[] = [];
	readonly #now: () => number;

	constructor(now: () => number) {
		this.#now = now;
	}

	/** Adds a listener; `pages` asks for the events of single pages too. Returns the function that removes it. */
	subscribe(listener: TraceListener, {pages = false} = {}): () => void {
		const entry = {listener, pages};
		this.#listeners.push(entry);
		this.#update();
		return () => {
			this.#listeners = this.#listeners.filter((other) => other !== entry);
			this.#update();
		};
	}

	emit(event: VmEvent): void {
		const time = this.#now();
		for (const {listener} of this.#listeners) {
			listener(event, time);
		}
	}

	#update(): void {
		this.active = this.#listeners.length > 0;
		this.pages = this.#listeners.some((entry) => entry.pages);
	}
}
