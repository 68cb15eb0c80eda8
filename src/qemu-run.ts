/**
 * A run of the guest kernel on QEMU's board: our driver against somebody else's device, with QEMU's resident memory as
 * the witness of what came back. Time is real, because QEMU's is.
 */
import type {MachineConfig, WorkloadConfig} from './config.js';
import {GuestKernel} from './guest-kernel/kernel.js';
import {guestOptions} from './guest-options.js';
import type {Workload} from './guest-kernel/workload/workload.js';
import {QemuBalloon} from './qemu/balloon.js';
import {QemuHart} from './qemu/qemu-hart.js';
import {makeWorkload} from './make-workload.js';
import {readGuest} from './read-guest.js';
import {runEnd, type GuestResult, type RunEnd} from './run-result.js';
import {NS_PER_MS, PAGE_SIZE} from './units.js';

export interface QemuRunPlan {
	/** Of the balloon only the size at start and deflateOnOom are QEMU's; nothing of the host. */
	machine: MachineConfig;
	/** A program by name, or one of your own. */
	workload: WorkloadConfig | Workload;
	/** Time after which the run stops; null: when the workload is done. */
	durationNs: number | null;
	/** A unix socket on which QEMU speaks QMP with others. */
	qmpSocket?: string;
}

export interface QemuRunHooks {
	/** Called between two slices of the run, about every 50 ms. */
	onSlice?: () => void;
	/** Ends the run at the next slice. */
	interrupted?: () => boolean;
}

/** QEMU's memory, measured: resident pages of the process, and pages of the file behind the guest's RAM. */
export interface QemuMemory {
	rssBytes: number;
	fileBytes: number;
}

/** As `--json` prints it. Everything of `qemu` is measured, the rest is counted; times are real. */
export interface QemuRunResult extends GuestResult {
	seed: number;
	ended: RunEnd;
	/** Since the guest kernel's entry. */
	time_ns: number;
	balloon: {target_pages: number; actual_pages: number};
	qemu: {
		version: string;
		rss_before_bytes: number;
		rss_peak_bytes: number;
		rss_end_bytes: number;
		memory_file_before_bytes: number;
		memory_file_end_bytes: number;
	};
}

interface QemuFigures {
	memory: QemuMemory;
	peakRssBytes: number;
	targetPages: number;
	actualPages: number;
}

const NO_MEMORY: QemuMemory = {rssBytes: 0, fileBytes: 0};
const SLICE_MS = 50;
/** How long a run may take is its user's to say; a QEMU that nobody ends is ended after this. */
const LIFE_SECONDS = 24 * 3600;

export class QemuRun {
	readonly plan: QemuRunPlan;
	readonly balloon: QemuBalloon;
	readonly hart: QemuHart;
	readonly kernel: GuestKernel;
	/** When the kernel was up and its workload about to begin. */
	before: QemuMemory = NO_MEMORY;
	/** As of the last slice: QEMU may be gone when somebody asks. */
	#last: QemuFigures = {memory: NO_MEMORY, peakRssBytes: 0, targetPages: 0, actualPages: 0};
	ended: RunEnd | undefined;
	#booted = false;

	/** Starts QEMU. `transmit` gets what the guest prints. Throws UsageError where QEMU cannot be used. */
	constructor(plan: QemuRunPlan, transmit: (text: string) => void = () => {}) {
		const {guestMemBytes, balloon} = plan.machine;
		this.plan = plan;
		this.balloon = new QemuBalloon({
			sizeBytes: guestMemBytes,
			watch: 'harts',
			deflateOnOom: balloon.features.deflateOnOom,
			lifeSeconds: LIFE_SECONDS,
			...(plan.qmpSocket === undefined ? {} : {qmpSocket: plan.qmpSocket}),
		});
		if (balloon.sizeBytes > 0) {
			this.balloon.setTargetPages(balloon.sizeBytes / PAGE_SIZE);
		}
		this.hart = new QemuHart({
			process: this.balloon.process,
			clockNs: () => performance.now() * NS_PER_MS,
			console: transmit,
			// The run sees that the workload is done, and ends QEMU.
			onReset() {},
		});
		this.kernel = new GuestKernel({
			hart: this.hart,
			dtbAddress: this.hart.deviceTreeAddress,
			workload: 'run' in plan.workload ? plan.workload : makeWorkload(plan.workload),
			options: guestOptions(plan.machine),
		});
	}

	/** Runs to the end and returns why it ended. Throws QEMU_FAILED if QEMU ends before, unless its monitor says quit. */
	async run({onSlice = () => {}, interrupted = () => false}: QemuRunHooks = {}): Promise<RunEnd> {
		try {
			while (this.ended === undefined) {
				if (interrupted()) {
					this.ended = 'interrupted';
					break;
				}
				this.ended = this.#slice();
				this.#last = this.#figures();
				onSlice();
				// Lets signals and streams have their turn.
				await new Promise((resolve) => setImmediate(resolve));
			}
		} catch (error) {
			if (!this.balloon.process.hasQuit) {
				throw error;
			}
			this.ended = 'quit';
		}
		return this.ended!;
	}

	/** Runs until the condition holds; asked between slices. False if the run ended first. */
	async runUntil(condition: () => boolean): Promise<boolean> {
		await this.run({interrupted: condition});
		if (this.ended === 'interrupted') {
			this.ended = undefined;
			return true;
		}
		return false;
	}

	/** QEMU's memory at this moment. */
	memory(): QemuMemory {
		const {process} = this.balloon;
		return {rssBytes: process.rssBytes(), fileBytes: process.ram.allocatedBytes};
	}

	result(): QemuRunResult {
		const {before} = this;
		const {memory, peakRssBytes, targetPages, actualPages} = this.#last;
		return {
			seed: this.plan.machine.seed,
			ended: this.ended ?? 'interrupted',
			time_ns: Math.round(this.hart.nowNs()),
			...readGuest(this.kernel, this.plan.machine.reporting.design, this.plan.machine.guestMemBytes),
			balloon: {target_pages: targetPages, actual_pages: actualPages},
			qemu: {
				version: this.balloon.process.version,
				rss_before_bytes: before.rssBytes,
				rss_peak_bytes: peakRssBytes,
				rss_end_bytes: memory.rssBytes,
				memory_file_before_bytes: before.fileBytes,
				memory_file_end_bytes: memory.fileBytes,
			},
		};
	}

	/** Ends QEMU. */
	close(): void {
		this.balloon.close();
	}

	#figures(): QemuFigures {
		const {target: targetPages, actual: actualPages} = this.balloon.pages;
		return {
			memory: this.memory(),
			peakRssBytes: this.balloon.process.peakRssBytes(),
			targetPages,
			actualPages,
		};
	}

	#slice(): RunEnd | undefined {
		const sliceEndNs = this.hart.nowNs() + SLICE_MS * NS_PER_MS;
		const options = {
			pauseWhen: () => this.hart.nowNs() >= sliceEndNs,
			...(this.plan.durationNs === null ? {} : {untilNs: this.plan.durationNs}),
		};
		if (!this.#booted) {
			const outcome = this.kernel.boot(options);
			if (outcome !== 'finished') {
				return outcome === 'paused' ? undefined : runEnd(outcome);
			}
			this.#booted = true;
			this.before = this.memory();
		}
		const outcome = this.kernel.run(options);
		return outcome === 'paused' ? undefined : runEnd(outcome);
	}
}
