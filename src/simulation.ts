/**
 * A run from reset to its end: a machine, the guest kernel on it, and a workload. What the command line does, and what
 * a test suite does that wants whole runs.
 */
import type {MachineConfig, WorkloadConfig} from './config.js';
import type {BlockRecord} from './events.js';
import {GuestKernel} from './guest-kernel/kernel.js';
import type {RunOutcome} from './guest-kernel/scheduler.js';
import {VmsimError} from './errors.js';
import {processRssBytes} from './host/rss.js';
import type {SupervisorHart} from './cpu-lite/supervisor-hart.js';
import {guestOptions} from './guest-options.js';
import {guestTrace} from './guest-trace.js';
import {Machine, type MachineConnections} from './machine.js';
import {makeWorkload} from './make-workload.js';
import {sanitizeRun} from './sanitize-run.js';
import type {Sanitizer} from './sanitizer.js';
import type {PreparedReplay} from './replay-setup.js';
import {readResult, type ProcessFigures} from './read-result.js';
import {OPEN_GATE, type RunGate} from './run-gate.js';
import {runEnd, type RunEnd, type RunResult, type StopRequest} from './run-result.js';

export interface SimulationPlan {
	machine: MachineConfig;
	workload: WorkloadConfig;
	/** Virtual time after which the run stops; null: when the workload is done. */
	durationNs: number | null;
	/** Stop at the first use of a page that is lent to the host. */
	sanitize?: boolean;
	/** For the workload `replay`: what src/replay-setup.ts made of the recorded files. */
	replay?: PreparedReplay;
}

export interface RunHooks {
	/** Called between two slices of the run, about every 50 ms of wall time. Watching changes nothing. */
	onSlice?: () => void;
	/** Ends the run at the next slice, and says how. */
	interrupted?: () => StopRequest | undefined;
	/** Wall time, ms: slices are cut by it, and by a gate. */
	wallMs?: () => number;
	/** Holds the run between slices. */
	gate?: RunGate;
}

const SLICE_MS = 50;

export class Simulation {
	readonly plan: SimulationPlan;
	readonly machine: Machine;
	readonly kernel: GuestKernel;
	readonly process: ProcessFigures = {wallMs: 0, rssBeforeBytes: 0, rssPeakBytes: 0, rssEndBytes: 0};
	/** Frames that the guest had when its workload began: what the kernel itself holds. */
	framesBefore = 0;
	ended: RunEnd | undefined;
	/** With a replay: blocks that the device took since the recording began, ours. */
	readonly replayReports: BlockRecord[] = [];

	readonly sanitizer: Sanitizer | undefined;
	readonly #hart: SupervisorHart;

	private constructor(plan: SimulationPlan, machine: Machine) {
		const options = guestOptions(plan.machine);
		this.plan = plan;
		this.machine = machine;
		const {supervisor, arguments: boot} = machine.enterSupervisor();
		this.#hart = supervisor;
		this.sanitizer = plan.sanitize === true ? sanitizeRun(machine, supervisor) : undefined;
		this.kernel = new GuestKernel({
			hart: supervisor,
			dtbAddress: boot.deviceTreeAddress,
			workload: plan.replay?.workload ?? makeWorkload(plan.workload),
			trace: guestTrace(machine.trace, machine.transport),
			options: {
				...options,
				memory: {...options.memory, ...plan.replay?.memory},
				queueNumbering: plan.machine.balloon.queueNumbering,
			},
		});
		const {replay} = plan;
		if (replay) {
			machine.trace.subscribe((event) => {
				if (event.type === 'report-return' && event.ok && replay.workload.startNs !== undefined) {
					this.replayReports.push(...event.blocks);
				}
			});
		}
	}

	/** Builds the machine and runs its firmware up to the kernel's entry. `transmit` gets the bytes that the guest prints. */
	static async create(
		plan: SimulationPlan,
		connections: Pick<MachineConnections, 'transmit' | 'device'> = {},
	): Promise<Simulation> {
		const {replay} = plan;
		const config = replay ? {...plan.machine, guestMemBytes: replay.guestMemBytes} : plan.machine;
		const machine = await Machine.create(config, connections);
		return new Simulation(plan, machine);
	}

	/** Runs to the end and returns why it ended. */
	async run({
		onSlice = () => {},
		interrupted = () => undefined,
		wallMs = () => performance.now(),
		gate = OPEN_GATE,
	}: RunHooks = {}): Promise<RunEnd> {
		const startMs = wallMs();
		const {process, machine} = this;
		const feed = this.plan.replay?.feed;
		process.rssBeforeBytes = processRssBytes();
		try {
			for (;;) {
				const mayGoOn = await gate.pass();
				this.ended = interrupted() ?? (mayGoOn ? undefined : 'quit');
				if (this.ended !== undefined) {
					break;
				}
				const sliceEnd = wallMs() + SLICE_MS;
				const outcome = this.#slice(
					() => feed?.wanted === true || wallMs() >= sliceEnd || machine.clock.nowNs >= gate.sliceEndNs,
				);
				process.rssPeakBytes = Math.max(process.rssPeakBytes, processRssBytes());
				if (outcome !== 'paused') {
					this.ended = runEnd(outcome);
					break;
				}
				if (feed?.wanted === true) {
					await feed.fetch();
				}
				onSlice();
				// Lets signals and streams have their turn.
				await new Promise((resolve) => setImmediate(resolve));
			}
		} catch (error) {
			if (!(error instanceof VmsimError && error.code === 'HOST_MEMORY_EXHAUSTED')) {
				throw error;
			}
			this.#hart.consoleWrite(`the host has no memory left for this guest: ${error.message}\n`);
			this.ended = 'host-memory-exhausted';
		} finally {
			await feed?.close();
		}
		process.rssPeakBytes = Math.max(process.rssPeakBytes, process.rssBeforeBytes, processRssBytes());
		machine.memory.flushDiscards();
		// The few free frames that were kept for quick use: nobody needs them any more.
		machine.host.trim();
		process.rssEndBytes = processRssBytes();
		process.wallMs = wallMs() - startMs;
		onSlice();
		return this.ended;
	}

	/** What the run came to. */
	result(): RunResult {
		const {machine, kernel, process, framesBefore, ended} = this;
		const {replay, workload} = this.plan;
		return readResult({
			machine,
			kernel,
			process,
			framesBefore,
			ended,
			workloadName: workload.name,
			...(replay ? {replay: {prepared: replay, reports: this.replayReports}} : {}),
		});
	}

	#slice(pauseWhen: () => boolean): RunOutcome {
		const {kernel, machine, plan} = this;
		const options = {pauseWhen, ...(plan.durationNs === null ? {} : {untilNs: plan.durationNs})};
		if (this.framesBefore === 0) {
			const outcome = kernel.boot(options);
			if (outcome !== 'finished') {
				return outcome;
			}
			this.framesBefore = machine.memory.counters.backedPages;
			this.process.rssBeforeBytes = processRssBytes();
		}
		return kernel.run(options);
	}
}
