/** Runs with somebody who holds them: what the tests of both monitors drive. */
import {mkdtempSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {DEFAULT_MACHINE} from '../../src/config.js';
import type {Monitored} from '../../src/monitor/monitored.js';
import {RunControl} from '../../src/monitor/run-control.js';
import {StatsPolling} from '../../src/monitor/stats-polling.js';
import {ProgramGuest} from '../../src/program-guest.js';
import {ProgramRun} from '../../src/program-run.js';
import type {RunEnd} from '../../src/run-result.js';
import {Simulation} from '../../src/simulation.js';
import {MiB} from '../../src/units.js';

export const GUEST_BYTES = 64 * MiB;
const CONFIG = {...DEFAULT_MACHINE, guestMemBytes: GUEST_BYTES};
/** jal x0, 0: a program that turns on the spot. */
const SPIN = [0x6f, 0, 0, 0];

export interface HeldRun {
	run: Monitored;
	/** Fulfilled when the run has ended. */
	over: Promise<RunEnd>;
}

function hold(what: Pick<Monitored, 'machine' | 'kernel' | 'name'>, paused: boolean): Monitored {
	const {clock, balloon} = what.machine;
	return {...what, control: new RunControl(clock, {paused}), polling: new StatsPolling(clock, balloon)};
}

async function finish({control}: Monitored, end: Promise<RunEnd>): Promise<RunEnd> {
	control.ended(await end);
	return end;
}

export function makeSimulation(): Promise<Simulation> {
	return Simulation.create({
		machine: CONFIG,
		workload: {name: 'memhog', options: {sizeBytes: 16 * MiB}},
		durationNs: null,
	});
}

/** The TypeScript kernel with memhog, standing still before its first instruction unless `paused` is false. */
export async function holdKernel({paused = true} = {}): Promise<HeldRun & {simulation: Simulation}> {
	const simulation = await makeSimulation();
	const {machine, kernel} = simulation;
	const run = hold({machine, kernel, name: 'memhog'}, paused);
	return {run, simulation, over: finish(run, simulation.run({gate: run.control}))};
}

/** A program that turns on the spot for ever, standing still before its first instruction. */
export async function holdProgram(): Promise<HeldRun> {
	const file = join(mkdtempSync(join(tmpdir(), 'vmsim-monitor-')), 'spin.bin');
	writeFileSync(file, Uint8Array.from(SPIN));
	const guest = await ProgramGuest.create(CONFIG, {kernel: file, bios: 'none'});
	const run = hold({machine: guest.machine, name: 'spin'}, true);
	return {run, over: finish(run, new ProgramRun(guest, 'spin', null).run({gate: run.control}))};
}
