/**
 * What the report shows, gathered from the events of a capture in bounded memory: curves and pageblock samples are
 * thinned out, chains are kept up to a limit that the page states. The result is plain JSON, which the page's own
 * script reads (src/inspect/report/page).
 */
import type {VmEvent} from '../../events.js';
import {BoundedMap, MAX_QUEUES} from '../bounds.js';
import {ProtocolChecker} from '../check/checker.js';
import {CaptureStats} from '../stats.js';
import {statsJson} from '../views/stats-table.js';
import type {Json} from '../views/structured.js';
import {ThinningList} from './thinning.js';

const MAX_CURVE_POINTS = 4_000;
const MAX_SAMPLES = 400;
const MAX_CHAINS = 5_000;
const MAX_MARKS = 300;
const MAX_VIOLATIONS = 200;
const PAYLOAD_SHOWN = 64;
/** Descriptors of one chain that the page lists. */
const MAX_DESCRIPTORS = 64;
/** Answers of the host that one chain keeps: an inflate of 256 scattered pages has as many. */
const MAX_DISCARDS = 256;

/** One chain on the page; arrays instead of objects where there are thousands. */
export interface ReportChain {
	lane: number;
	head: number;
	/** Free-running available and used index; -1 while not used. */
	availIndex: number;
	usedIndex: number;
	/** Packet and ns of the avail entry and of the used element; 0 and null while not used. */
	packet: number;
	usedPacket: number;
	/** Null where the device looked without a notification. */
	kickNs: number | null;
	availNs: number;
	usedNs: number | null;
	usedLength: number;
	descriptorCount: number;
	/** index, addr, len, flags, next, 1 if from an indirect table. */
	descriptors: [number, number, number, number, number, number][];
	/** The descriptors' own bytes, hex. */
	raw: string;
	/** First bytes of the payload, hex. */
	payload: string;
	/** packet, ns, base, size, freed, huge pages split, why skipped or ''. */
	discards: [number, number, number, number, number, number, string][];
}

export interface ReportModel {
	title: string;
	firstNs: number;
	lastNs: number;
	events: number;
	/** ns, guest free, host backed, reported, refaulted, RSS or null. */
	memory: [number, number, number, number, number, number | null][];
	lanes: {slot: number; queue: number; name: string; size: number; chains: number}[];
	chains: ReportChain[];
	pageblocks: {basePfn: number; order: number; count: number} | null;
	/** ns and runs `letter count`, letters as PAGEBLOCK_LETTERS. */
	samples: [number, string][];
	/** ns, text: phases of the workload, faults, resets. */
	marks: [number, string][];
	violations: {packet: number; timeNs: number; rule: string; party: string; clause: string; detail: string}[];
	violationCount: number;
	stats: Json;
}

/** By PAGEBLOCK_STATE. */
const PAGEBLOCK_LETTERS = 'humfrib';

type Lane = ReportModel['lanes'][number];

export class ReportCollector {
	readonly #checker: ProtocolChecker;
	readonly #stats = new CaptureStats();
	readonly #memory = new ThinningList<ReportModel['memory'][number]>(MAX_CURVE_POINTS);
	readonly #samples = new ThinningList<ReportModel['samples'][number]>(MAX_SAMPLES);
	readonly #lanes = new Map<string, {index: number; lane: Lane}>();
	readonly #chains: ReportChain[] = [];
	/** By slot, queue and head: the chain that is with the device. */
	readonly #open = new Map<string, ReportChain>();
	/** By slot and queue: the notification that the device is about to follow. */
	readonly #kicks = new BoundedMap<string, number>(MAX_QUEUES);
	readonly #marks: ReportModel['marks'] = [];
	readonly #violations: ReportModel['violations'] = [];
	#violationCount = 0;
	#pageblocks: ReportModel['pageblocks'] = null;

	constructor() {
		this.#checker = new ProtocolChecker(({rule, number, timeNs, detail}) => {
			if (rule.severity === 'error' && this.#violationCount++ < MAX_VIOLATIONS) {
				const {id, party, clause} = rule;
				this.#violations.push({packet: number, timeNs, rule: id, party, clause, detail});
			}
		});
	}

	observe(event: VmEvent, timeNs: number, number: number, label = ''): void {
		this.#checker.observe(event, timeNs, number);
		this.#stats.observe(event, timeNs, label);
		switch (event.type) {
			case 'memory':
				this.#memory.add([
					timeNs,
					event.guestFreeBytes,
					event.hostBackedBytes,
					event.reportedBytes,
					event.refaultedBytes,
					event.rssBytes ?? null,
				]);
				break;
			case 'pageblocks':
				this.#pageblocks = {basePfn: event.basePfn, order: event.order, count: event.states.length};
				this.#samples.add([timeNs, runs(event.states)]);
				break;
			case 'queue-ready':
				this.#lane(event.device, event.queue, label).lane.size = event.size;
				break;
			case 'notify':
				if (!event.ignored) {
					this.#kicks.set(`${event.device}/${event.queue}`, timeNs);
				}
				break;
			case 'used-notification':
				this.#kicks.delete(`${event.device}/${event.queue}`);
				break;
			case 'avail':
				this.#avail(event, timeNs, number, label);
				break;
			case 'discard':
				this.#discard(event, timeNs, number);
				break;
			case 'used':
				this.#used(event, timeNs, number);
				break;
			case 'workload':
				this.#mark(timeNs, event.phase);
				break;
			case 'needs-reset':
				this.#mark(timeNs, `needs reset: ${event.reason}`);
				break;
			case 'oom':
				this.#mark(timeNs, `out of memory: ${event.detail}`);
				break;
			case 'device-reset':
				this.#open.clear();
				break;
			default: // not on the page
		}
	}

	/** The whole of it; call once, at the end. */
	finish(title: string): ReportModel {
		this.#checker.finish();
		this.#stats.finish();
		return {
			title,
			firstNs: this.#stats.firstNs,
			lastNs: this.#stats.lastNs,
			events: this.#stats.events,
			memory: this.#memory.entries,
			lanes: [...this.#lanes.values()].map(({lane}) => lane),
			chains: this.#chains,
			pageblocks: this.#pageblocks,
			samples: this.#samples.entries,
			marks: this.#marks,
			violations: this.#violations,
			violationCount: this.#violationCount,
			stats: statsJson(this.#stats),
		};
	}

	#mark(timeNs: number, text: string): void {
		if (this.#marks.length < MAX_MARKS) {
			this.#marks.push([timeNs, text]);
		}
	}

	/** The queue's lane; those beyond MAX_QUEUES, which no machine has, share the last one. */
	#lane(slot: number, queue: number, name: string): {index: number; lane: Lane} {
		const key = this.#lanes.size < MAX_QUEUES ? `${slot}/${queue}` : 'more';
		let entry = this.#lanes.get(`${slot}/${queue}`) ?? this.#lanes.get(key);
		if (!entry) {
			entry = {index: this.#lanes.size, lane: {slot, queue, name, size: 0, chains: 0}};
			this.#lanes.set(key, entry);
		}
		entry.lane.name = name || entry.lane.name;
		return entry;
	}

	#avail(event: VmEvent & {type: 'avail'}, timeNs: number, number: number, label: string): void {
		const {index, lane} = this.#lane(event.device, event.queue, label);
		lane.chains++;
		if (this.#chains.length >= MAX_CHAINS) {
			return;
		}
		const shown = event.descriptors.slice(0, MAX_DESCRIPTORS);
		const chain: ReportChain = {
			lane: index,
			head: event.head,
			availIndex: event.ringIndex,
			usedIndex: -1,
			packet: number,
			usedPacket: 0,
			kickNs: this.#kicks.get(`${event.device}/${event.queue}`) ?? null,
			availNs: timeNs,
			usedNs: null,
			usedLength: 0,
			descriptorCount: event.descriptors.length,
			descriptors: shown.map(({index: at, addr, len, flags, next, indirect}) => [
				at,
				addr,
				len,
				flags,
				next,
				indirect ? 1 : 0,
			]),
			raw: Buffer.from(event.raw.subarray(0, 16 * shown.length)).toString('hex'),
			payload: Buffer.from(event.payload(PAYLOAD_SHOWN)).toString('hex'),
			discards: [],
		};
		this.#chains.push(chain);
		this.#open.set(`${event.device}/${event.queue}/${event.head}`, chain);
	}

	#discard(event: VmEvent & {type: 'discard'}, timeNs: number, number: number): void {
		const chain = this.#open.get(`${event.device}/${event.queue}/${event.head}`);
		if (chain && chain.discards.length < MAX_DISCARDS) {
			const {base, sizeBytes, freedBytes, hugePagesSplit, skipped = ''} = event;
			chain.discards.push([number, timeNs, base, sizeBytes, freedBytes, hugePagesSplit, skipped]);
		}
	}

	#used(
		{device, queue, head, ringIndex, len}: VmEvent & {type: 'used'},
		timeNs: number,
		number: number,
	): void {
		const key = `${device}/${queue}/${head}`;
		const chain = this.#open.get(key);
		if (chain) {
			chain.usedIndex = ringIndex;
			chain.usedPacket = number;
			chain.usedNs = timeNs;
			chain.usedLength = len;
			this.#open.delete(key);
		}
	}
}

/** `u12f3`: 12 used, 3 free. */
function runs(states: Uint8Array): string {
	let text = '';
	for (let from = 0; from < states.length;) {
		let to = from + 1;
		while (to < states.length && states[to] === states[from]) {
			to++;
		}
		text += `${PAGEBLOCK_LETTERS[states[from]!] ?? 'h'}${to - from}`;
		from = to;
	}
	return text;
}
