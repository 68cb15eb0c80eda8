/** A schedule as a file: everything that it takes to run it again, and what came of it. JSON, with a version. */
import {UsageError, VmsimError} from '../errors.js';
import {Execution, type Step} from './execution.js';
import {readScenario, type Scenario} from './scenario.js';
import type {Found} from './search.js';
import type {Finding} from './verdict.js';
import {exploredDesign, type ExploredDesign} from './world.js';

export const SCHEDULE_FORMAT = 'vmsim-schedule';
/** Rises when an old file no longer means the same: when steps are named, or threads cut into steps, in another way. */
export const SCHEDULE_VERSION = 1;

export interface ScheduleFile {
	readonly format: typeof SCHEDULE_FORMAT;
	readonly version: typeof SCHEDULE_VERSION;
	readonly scenario: Scenario;
	readonly reporting: string;
	/** What the schedule ends in. */
	readonly finding: Finding;
	readonly preemptions: number;
	readonly steps: readonly Step[];
}

export function scheduleFile(scenario: Scenario, design: ExploredDesign, found: Found): ScheduleFile {
	const {finding, preemptions, steps} = found;
	return {
		format: SCHEDULE_FORMAT,
		version: SCHEDULE_VERSION,
		scenario,
		reporting: design.text,
		finding,
		preemptions,
		steps,
	};
}

/** Checks a file's text. Throws UsageError for another format or version, and for anything that is no schedule. */
export function readSchedule(text: string, label: string): ScheduleFile {
	let value: Record<string, unknown> | null;
	try {
		value = JSON.parse(text) as Record<string, unknown> | null;
	} catch (error) {
		throw new UsageError(`${label} cannot be read as JSON: ${(error as Error).message}`, {}, error);
	}
	if (value?.['format'] !== SCHEDULE_FORMAT) {
		throw new UsageError(`${label} is no schedule: "format" must be "${SCHEDULE_FORMAT}"`);
	}
	if (value['version'] !== SCHEDULE_VERSION) {
		const found = JSON.stringify(value['version']);
		throw new UsageError(
			`${label} is a schedule of version ${found}; this vmsim replays ${SCHEDULE_VERSION}: explore again`,
		);
	}
	const {steps, reporting} = value;
	const isStep = (step: Partial<Step> | null) =>
		typeof step?.thread === 'string' && typeof step.does === 'string';
	if (typeof reporting !== 'string' || !Array.isArray(steps) || !steps.every(isStep)) {
		throw new UsageError(`${label} must have "reporting", a design, and "steps" of {"thread", "does"}`);
	}
	readScenario(value['scenario'], `${label}: "scenario"`);
	return value as unknown as ScheduleFile;
}

export interface Replayed {
	readonly execution: Execution;
	/** What is wrong in the end; undefined if nothing is, or if somebody could still go on. */
	readonly finding: Finding | undefined;
	/** Threads that could go on where the schedule ends. */
	readonly able: readonly string[];
}

/**
 * Runs the schedule's steps, exactly these. Throws VmsimError SCHEDULE_DIVERGED where a thread stands elsewhere or
 * cannot go on: then design or kernel are not what they were.
 */
export function replaySchedule(
	{scenario, reporting, steps}: Pick<ScheduleFile, 'scenario' | 'reporting' | 'steps'>,
	onStep: (execution: Execution, step: Step) => void = () => {},
): Replayed {
	const execution = new Execution(scenario, exploredDesign(reporting, scenario));
	const {names} = execution;
	for (const [nr, step] of steps.entries()) {
		const at = names.indexOf(step.thread);
		const diverged = (what: string): never => {
			throw new VmsimError('SCHEDULE_DIVERGED', `step ${nr + 1}, ${step.thread} ${step.does}: ${what}`, {
				...step,
			});
		};
		if (at < 0) {
			diverged(`there is no such thread among ${names.join(', ')}`);
		}
		if (execution.next(at) !== step.does) {
			diverged(`it stands before ${execution.next(at)}`);
		}
		if ((execution.able & (1 << at)) === 0) {
			diverged('it cannot go on');
		}
		execution.step(at);
		onStep(execution, step);
	}
	const {able, isOver} = execution;
	const left = names.filter((_, at) => (able & (1 << at)) !== 0);
	const ended = left.length === 0 || isOver;
	return {execution, finding: ended ? execution.verdict() : undefined, able: ended ? [] : left};
}
