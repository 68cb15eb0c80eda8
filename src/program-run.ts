/** A run of a guest that is made of instructions, from reset to its end. */
import {DeviceReports} from './device-reports.js';
import {VmsimError} from './errors.js';
import {processRssBytes} from './host/rss.js';
import {ProgramGuest, type ProgramEnd} from './program-guest.js';
import {readResult, type ProcessFigures} from './read-result.js';
import {OPEN_GATE, type RunGate} from './run-gate.js';
import type {RunEnd, RunResult, StopRequest} from './run-result.js';
import {NS_PER_MS} from './units.js';

export interface ProgramRunHooks {
	/** Called between two slices of the run. */
	onSlice?: () => void;
	/** Ends the run at the next slice, and says how. */
	interrupted?: () => StopRequest | undefined;
	wallMs?: () => number;
	/** Keep virtual time from running ahead of wall time: for a person at the console. */
	paced?: boolean;
	/** Holds the run between slices. */
	gate?: RunGate;
}

const SLICE_INSTRUCTIONS = 2_000_000;
const PACED_SLICE_NS = 10 * NS_PER_MS;

const ENDS: Readonly<Record<ProgramEnd['kind'], RunEnd>> = {
	pass: 'guest-off',
	fail: 'guest-failed',
	reset: 'guest-reset',
	time: 'duration',
	waiting: 'idle',
};

export class ProgramRun {
	readonly guest: ProgramGuest;
	readonly process: ProcessFigures = {wallMs: 0, rssBeforeBytes: 0, rssPeakBytes: 0, rssEndBytes: 0};
	readonly #framesBefore: number;
	readonly #reports: DeviceReports;
	readonly #durationNs: number | null;
	readonly #name: string;
	ended: RunEnd | undefined;
	/** The failure code of a guest that ended with one. */
	failureCode = 0;

	/** `durationNs`: virtual time after which the run stops; null: when the guest ends. */
	constructor(guest: ProgramGuest, name: string, durationNs: number | null) {
		this.guest = guest;
		this.#name = name;
		this.#durationNs = durationNs;
		this.#framesBefore = guest.machine.memory.counters.backedPages;
		this.#reports = new DeviceReports(guest.machine.trace, guest.machine.balloon);
	}

	/** Runs to the end and returns why it ended. Throws GUEST_STUCK. */
	async run({
		onSlice = () => {},
		interrupted = () => undefined,
		wallMs = () => performance.now(),
		paced = false,
		gate = OPEN_GATE,
	}: ProgramRunHooks = {}): Promise<RunEnd> {
		const {process, guest} = this;
		const {machine} = guest;
		const startMs = wallMs();
		process.rssBeforeBytes = processRssBytes();
		try {
			/** Wall time that the gate was shut: no time for the guest to catch up with. */
			let heldMs = 0;
			while (this.ended === undefined) {
				const shutMs = wallMs();
				const mayGoOn = await gate.pass();
				heldMs += wallMs() - shutMs;
				this.ended = interrupted() ?? (mayGoOn ? undefined : 'quit');
				if (this.ended !== undefined) {
					break;
				}
				const sliceEndNs = Math.min(gate.sliceEndNs, this.#sliceEndNs(paced));
				const end = guest.run(SLICE_INSTRUCTIONS, sliceEndNs);
				process.rssPeakBytes = Math.max(process.rssPeakBytes, processRssBytes());
				this.#note(end);
				onSlice();
				const aheadMs = paced ? machine.clock.nowNs / NS_PER_MS - (wallMs() - startMs - heldMs) : 0;
				// Lets signals, keys and streams have their turn.
				await new Promise((resolve) => (aheadMs > 1 ? setTimeout(resolve, aheadMs) : setImmediate(resolve)));
			}
		} catch (error) {
			if (!(error instanceof VmsimError && error.code === 'HOST_MEMORY_EXHAUSTED')) {
				throw error;
			}
			this.ended = 'host-memory-exhausted';
		} finally {
			process.rssPeakBytes = Math.max(process.rssPeakBytes, process.rssBeforeBytes, processRssBytes());
			machine.memory.flushDiscards();
			// The few free frames that were kept for quick use: nobody needs them any more.
			machine.host.trim();
			process.rssEndBytes = processRssBytes();
			process.wallMs = wallMs() - startMs;
			onSlice();
		}
		return this.ended;
	}

	result(): RunResult {
		return readResult({
			machine: this.guest.machine,
			process: this.process,
			framesBefore: this.#framesBefore,
			ended: this.ended,
			workloadName: this.#name,
			deviceReports: this.#reports,
		});
	}

	#sliceEndNs(paced: boolean): number {
		const duration = this.#durationNs ?? Infinity;
		return paced ? Math.min(duration, this.guest.machine.clock.nowNs + PACED_SLICE_NS) : duration;
	}

	#note(end: ProgramEnd | undefined): void {
		if (
			end === undefined ||
			(end.kind === 'time' && this.guest.machine.clock.nowNs < (this.#durationNs ?? Infinity))
		) {
			return;
		}
		this.ended = ENDS[end.kind];
		if (end.kind === 'fail') {
			this.failureCode = end.code;
		}
	}
}
