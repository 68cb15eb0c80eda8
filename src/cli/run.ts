/** `vmsim run`: a machine and its guest, from reset to the end. */
import type {CommandModule} from 'yargs';
import {prepareReplay} from '../replay-setup.js';
import type {RunEnd} from '../run-result.js';
import {sampleMemory} from '../memory-sampler.js';
import {Simulation} from '../simulation.js';
import {PAGE_SIZE} from '../units.js';
import {UsageError} from '../errors.js';
import {processRssBytes} from '../host/rss.js';
import {openCapture} from './capture-option.js';
import {openTraffic} from './inspect-option.js';
import {Interrupt, stopRequest} from './interrupt.js';
import {NO_LIVE_VIEW, announceRun, openLiveView, type LiveFigures, type LiveView} from './live.js';
import {checkMonitor, openMonitor} from './monitor-option.js';
import type {RunPlan} from './flags/flag.js';
import {writeOutput} from './output-file.js';
import {planRun, yargsOptions} from './run-options.js';
import {runOnQemu, summarizeOnQemu} from './run-on-qemu.js';
import {runProgram, type RunOutput} from './run-program.js';
import {summarize} from './summary.js';

const EXIT_FAILURE = 1;
const EXIT_INTERRUPTED = 130;
/** Ends of a run that are failures. */
const FAILED_ENDS: readonly RunEnd[] = ['guest-halted', 'guest-failed', 'idle', 'host-memory-exhausted'];

function figuresOf(simulation: Simulation): LiveFigures {
	const {machine, kernel, plan} = simulation;
	const {workload, memory, reporting} = kernel;
	return {
		timeNs: machine.clock.nowNs,
		clock: 'virtual',
		guestMemBytes: machine.memory.sizeBytes,
		guestFreeBytes: (memory?.totalFreePages() ?? 0) * PAGE_SIZE,
		hostBackedBytes: machine.memory.backedBytes,
		rssBytes: processRssBytes(),
		batches: reporting?.stats.batches ?? 0,
		reportedBytes: reporting?.stats.reportedBytes ?? 0,
		workload: plan.workload.name,
		phase: workload.progress.phase,
		progress: workload.progress.done,
	};
}

function openView({json, quiet, inspect, monitor}: RunPlan): LiveView {
	return json || quiet || inspect || monitor.prompt
		? NO_LIVE_VIEW
		: openLiveView(process.stderr, () => performance.now());
}

/** Runs the TypeScript kernel with the plan's workload. */
async function runKernel(plan: RunPlan): Promise<RunOutput> {
	const interrupt = new Interrupt();
	const view = openView(plan);
	try {
		const {machine: config, workload, durationNs, sanitize} = plan;
		const replay = workload.name === 'replay' ? {replay: await prepareReplay(plan.replay)} : {};
		const simulation = await Simulation.create({machine: config, workload, durationNs, sanitize, ...replay});
		const {machine, kernel} = simulation;
		if (plan.dtbDump !== undefined) {
			writeOutput('--dtb-dump', plan.dtbDump, machine.deviceTree);
		}
		const capture =
			plan.capture &&
			openCapture(
				plan.capture,
				machine,
				workload.name,
				sampleMemory(machine.trace, machine.clock, kernel, machine.memory),
			);
		const traffic = openTraffic(plan.inspect, machine);
		const monitor = await openMonitor(plan, {machine, kernel, name: workload.name});
		announceRun(plan, machine.memory.sizeBytes);
		try {
			const end = await simulation.run({
				...(monitor && {gate: monitor.control}),
				onSlice: () => view.update(() => figuresOf(simulation)),
				interrupted: () => stopRequest(interrupt, capture, traffic),
			});
			await monitor?.ended(end);
		} finally {
			monitor?.close();
			traffic?.close();
			capture?.close();
		}
		return {result: simulation.result(), capture};
	} finally {
		view.close();
	}
}

/** Runs the TypeScript kernel on QEMU's board. */
async function runForeign(plan: RunPlan): Promise<number> {
	const view = openView(plan);
	try {
		const result = await runOnQemu(plan, view);
		view.close();
		process.stdout.write(plan.json ? `${JSON.stringify(result, null, 2)}\n` : summarizeOnQemu(result));
		return exitCode(result.ended, result.integrity.failures);
	} finally {
		view.close();
	}
}

function present({result, capture}: RunOutput, plan: RunPlan): number {
	// A capture on standard output leaves no room for words there.
	const out = plan.capture?.path === '-' ? process.stderr : process.stdout;
	if (plan.json) {
		out.write(`${JSON.stringify(result, null, 2)}\n`);
	} else {
		out.write(summarize(result));
	}
	const {ended, integrity} = result.deterministic;
	return capture?.failed === true ? EXIT_FAILURE : exitCode(ended, integrity.failures);
}

/** What a run's end is to the shell: 130 interrupted, 1 failed or lost a page, 0 otherwise. */
export function exitCode(ended: RunEnd, integrityFailures: number): number {
	if (ended === 'interrupted') {
		return EXIT_INTERRUPTED;
	}
	return integrityFailures > 0 || FAILED_ENDS.includes(ended) ? EXIT_FAILURE : 0;
}

function isProgram({program}: RunPlan): boolean {
	const {kernel, initrd, append, bios} = program;
	return [kernel, initrd, append, bios].some((given) => given !== undefined);
}

export const command: CommandModule = {
	command: 'run',
	describe: 'Run a machine: a guest that takes memory and gives it back',
	builder: (yargs) =>
		yargs
			.options(yargsOptions())
			.option('config', {
				type: 'string',
				requiresArg: true,
				group: 'Output:',
				describe: 'JSON file of flags; flags win',
			})
			.option('print-config', {
				type: 'boolean',
				group: 'Output:',
				describe: 'Print the effective flags as JSON and stop',
			})
			.example('$0 run --guest-mem 4G', 'memhog takes 3 GiB, frees it, and the host gets it back')
			.example('$0 run -w churn -m 1G --json', 'seeded allocations of many orders; the result as JSON')
			.example('$0 run -w replay', 'replay a trace of a real kernel, page for page')
			.example(
				'$0 run -m 512M --kernel Image --initrd initramfs.cpio',
				'an unmodified Linux on the same board',
			)
			.example('$0 run --device qemu -m 1G', "the same guest kernel on QEMU's board, driving QEMU's balloon"),
	handler: async (argv) => {
		const {plan, texts} = planRun(argv, argv['config'] as string | undefined);
		if (argv['print-config'] === true) {
			process.stdout.write(`${JSON.stringify(texts, null, 2)}\n`);
			return;
		}
		checkMonitor(plan);
		if (plan.sanitize && isProgram(plan)) {
			throw new UsageError(
				'--sanitize contradicts a guest of your own: it needs to be told who has which page',
			);
		}
		process.exitCode =
			plan.device === 'qemu'
				? await runForeign(plan)
				: present(isProgram(plan) ? await runProgram(plan) : await runKernel(plan), plan);
	},
};
