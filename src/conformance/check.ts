/** What a conformance check is, and what it comes to. */
import type {Probe} from './probe.js';

/** `layout`: stated in text that is not normative, but without it the two sides do not understand each other. */
export type Level = 'MUST' | 'SHOULD' | 'layout';

export type Verdict = 'pass' | 'fail' | 'not applicable' | 'inconclusive';

export interface Check {
	/** The requirement that it judges, and where there are several checks of it which: `STAT-07.before-driver-ok`. */
	readonly id: string;
	/** Clause of VIRTIO 1.4. */
	readonly clause: string;
	readonly level: Level;
	/** The requirement in our words. */
	readonly text: string;
	/** What the check does to the device. */
	readonly done: string;
	/** Guest memory that it wants, bytes, where the usual is not enough. */
	readonly ramBytes?: number;
	/** Throws nothing if the device passes; `Probe` says how the other verdicts come about. */
	readonly run: (probe: Probe) => void | Promise<void>;
}

export interface CheckResult {
	readonly id: string;
	readonly clause: string;
	readonly level: Level;
	readonly text: string;
	readonly done: string;
	readonly verdict: Verdict;
	/** What was seen: registers, and bytes as they lie in guest memory. */
	readonly seen: string;
	/** Why, for every verdict but pass. */
	readonly reason?: string;
	/** The device or its target threw or hung: what came of it. The run goes on and ends with a failure. */
	readonly error?: string;
}

/** Ends a check with a verdict other than pass. */
export class Outcome extends Error {
	override name = 'Outcome';
	readonly verdict: Exclude<Verdict, 'pass'>;

	constructor(verdict: Exclude<Verdict, 'pass'>, reason: string) {
		super(reason);
		this.verdict = verdict;
	}
}

type Body = Pick<Check, 'text' | 'done' | 'ramBytes' | 'run'>;

/** One line per check in the tables: id, clause, level, and then what it is. */
export function check(id: string, clause: string, level: Level, body: Body): Check {
	return {id, clause, level, ...body};
}
