/** `vmsim run --kernel Image` and `--bios ELF`: a guest of instructions, with its console on our terminal. */
import {ProgramGuest} from '../program-guest.js';
import {ProgramRun} from '../program-run.js';
import type {RunResult} from '../run-result.js';
import {openCapture, type OpenCapture} from './capture-option.js';
import {Console} from './console.js';
import {openTraffic} from './inspect-option.js';
import {Interrupt, stopRequest} from './interrupt.js';
import {announceRun} from './live.js';
import {openMonitor} from './monitor-option.js';
import {writeOutput} from './output-file.js';
import type {RunPlan} from './flags/flag.js';

/** What is left of a run to be told. */
export interface RunOutput {
	result: RunResult;
	capture: OpenCapture | undefined;
}

/** Runs the guest to its end. Throws UsageError for bad files and GUEST_STUCK for a guest that traps for ever. */
export async function runProgram(plan: RunPlan): Promise<RunOutput> {
	const interrupt = new Interrupt();
	// Where JSON or a capture goes to standard output, the guest's words go beside it.
	const {prompt} = plan.monitor;
	const serial = new Console(
		plan.json || plan.inspect || plan.capture?.path === '-' || prompt ? process.stderr : process.stdout,
	);
	const guest = await ProgramGuest.create(plan.machine, plan.program, {transmit: serial.transmit});
	if (plan.dtbDump !== undefined) {
		writeOutput('--dtb-dump', plan.dtbDump, guest.machine.deviceTree);
	}
	const name = plan.program.kernel ?? plan.program.bios ?? 'program';
	const capture = plan.capture && openCapture(plan.capture, guest.machine, name);
	const traffic = openTraffic(plan.inspect, guest.machine);
	const run = new ProgramRun(guest, name, plan.durationNs);
	const monitor = await openMonitor(plan, {machine: guest.machine, name});
	announceRun(plan, guest.machine.memory.sizeBytes);
	// The keyboard belongs to the prompt where there is one.
	if (!prompt) {
		serial.attach(guest.machine.uart);
	}
	try {
		const end = await run.run({
			...(monitor && {gate: monitor.control}),
			onSlice: () => serial.flush(),
			interrupted: () => (serial.quit ? 'quit' : stopRequest(interrupt, capture, traffic)),
			paced: serial.interactive && !prompt,
		});
		await monitor?.ended(end);
	} finally {
		monitor?.close();
		serial.close();
		traffic?.close();
		capture?.close();
	}
	if (run.ended === 'guest-failed') {
		process.stderr.write(`vmsim: the guest ended with failure ${run.failureCode}\n`);
	} else if (run.ended === 'idle') {
		process.stderr.write(
			`vmsim: the guest waits for an interrupt that will never come: ${guest.machine.hart.describe()}\n`,
		);
	}
	return {result: run.result(), capture};
}
