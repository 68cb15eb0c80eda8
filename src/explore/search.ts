/**
 * The search: every schedule is executed from its start, as stateless model checkers do it. Depth first with at most so
 * many preemptions, first without any, then with one, ...; or at random with priorities (PCT) where that has no end.
 *
 * M. Musuvathi and S. Qadeer, "Iterative context bounding for systematic testing of multithreaded programs" (PLDI 2007);
 * S. Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs" (ASPLOS 2010).
 */
import {Random} from '../guest-kernel/random.js';
import {Execution, MAX_STEPS, type Step} from './execution.js';
import type {Scenario} from './scenario.js';
import type {Finding} from './verdict.js';
import type {ExploredDesign} from './world.js';

export interface SearchOptions {
	/** Most preemptions in one schedule; for PCT one less than its priority change points. */
	readonly bound: number;
	/** Stop after so many executions. */
	readonly schedules: number;
	/** Called now and then with the executions and the kinds of findings so far, and waited for; false ends the search. */
	readonly goOn?: (executions: number, findings: number) => boolean | Promise<boolean>;
	/** False continues every schedule, also from states that were reached before: for checking the reduction. */
	readonly reduce?: boolean;
}

/** The shortest schedule to one kind of finding. */
export interface Found {
	readonly finding: Finding;
	readonly steps: readonly Step[];
	readonly preemptions: number;
	/** Schedules that ended so. */
	count: number;
}

export interface SearchResult {
	/** Fewest preemptions first, then fewest steps. */
	readonly found: readonly Found[];
	/** Executions from the start, and of these, ones that were given up in a state that had been continued before. */
	readonly executions: number;
	readonly pruned: number;
	readonly steps: number;
	/** States that were continued, one for all orders of steps that do not touch the same things. */
	readonly states: number;
	/** Every schedule within the bound was tried, or one equal to it. */
	readonly complete: boolean;
	/** The bound that was searched completely; -1 if none. */
	readonly completeBound: number;
}

const ASK_EVERY = 256;

/** Findings by kind and cause. */
class Findings {
	readonly #best = new Map<string, Found>();

	note(execution: Execution): void {
		const finding = execution.verdict();
		if (finding === undefined) {
			return;
		}
		const key = `${finding.kind} ${finding.cause ?? ''} ${finding.text.replaceAll(/(0x)?[0-9a-f]*[0-9]+|DMA32|DMA|Normal/g, '')}`;
		const {steps, preemptions} = execution;
		const best = this.#best.get(key);
		const isBetter =
			best === undefined ||
			preemptions < best.preemptions ||
			(preemptions === best.preemptions && steps.length < best.steps.length);
		const count = (best?.count ?? 0) + 1;
		if (isBetter) {
			this.#best.set(key, {finding, steps: [...steps], preemptions, count});
		} else {
			best.count = count;
		}
	}

	get size(): number {
		return this.#best.size;
	}

	get sorted(): Found[] {
		return [...this.#best.values()].sort(
			(a, b) => a.preemptions - b.preemptions || a.steps.length - b.steps.length,
		);
	}
}

/** A place where the schedule could go several ways. */
interface Choice {
	readonly options: readonly number[];
	taken: number;
}

class Dfs {
	readonly findings = new Findings();
	executions = 0;
	pruned = 0;
	steps = 0;
	states = 0;
	completeBound = -1;
	readonly #scenario: Scenario;
	readonly #design: ExploredDesign;
	readonly #options: SearchOptions;
	readonly #masks = new Map<string, number>();

	constructor(scenario: Scenario, design: ExploredDesign, options: SearchOptions) {
		this.#scenario = scenario;
		this.#design = design;
		this.#options = options;
	}

	async run(): Promise<void> {
		for (let bound = 0; bound <= this.#options.bound; bound++) {
			if (!(await this.#runBound(bound))) {
				return;
			}
			this.completeBound = bound;
		}
	}

	/** False if it was ended before its end. */
	async #runBound(bound: number): Promise<boolean> {
		const {schedules, goOn} = this.#options;
		/** The most preemptions that were left when a state was continued. */
		const visited = new Map<number, number>();
		const path: Choice[] = [];
		for (;;) {
			if (this.executions >= schedules) {
				return false;
			}
			if (
				this.executions % ASK_EVERY === 0 &&
				(await goOn?.(this.executions, this.findings.size)) === false
			) {
				return false;
			}
			this.#execute(bound, path, visited);
			while (path.length > 0 && path.at(-1)!.taken === path.at(-1)!.options.length - 1) {
				path.pop();
			}
			if (path.length === 0) {
				this.states += visited.size;
				return true;
			}
			path.at(-1)!.taken++;
		}
	}

	/** One execution along the path, and on from its end, which makes the path longer. */
	#execute(bound: number, path: Choice[], visited: Map<number, number>): void {
		this.executions++;
		const execution = new Execution(this.#scenario, this.#design, this.#masks);
		let depth = 0;
		for (;;) {
			const able = execution.able;
			if (able === 0 || execution.isOver) {
				this.findings.note(execution);
				break;
			}
			const left = bound - execution.preemptions;
			// On the path everything was looked up before; behind its last choice it is new.
			if (depth === path.length && this.#options.reduce !== false && execution.steps.length > 0) {
				const key = execution.key(able);
				if ((visited.get(key) ?? -1) >= left) {
					this.pruned++;
					break;
				}
				visited.set(key, left);
			}
			const options = choices(execution.running(able), able, left);
			let next = options[0]!;
			if (options.length > 1) {
				if (depth === path.length) {
					path.push({options, taken: 0});
				}
				next = options[path[depth]!.taken]!;
				depth++;
			}
			execution.step(next);
		}
		this.steps += execution.steps.length;
	}
}

/** Who may go on: the one that runs first; the others if nobody does, or if a preemption is left. */
function choices(running: number, able: number, preemptionsLeft: number): number[] {
	const options = running < 0 ? [] : [running];
	if (running < 0 || preemptionsLeft > 0) {
		for (let rest = able; rest !== 0; rest &= rest - 1) {
			const at = 31 - Math.clz32(rest & -rest);
			if (at !== running) {
				options.push(at);
			}
		}
	}
	return options;
}

/** Depth first within the bound. */
export async function searchDepthFirst(
	scenario: Scenario,
	design: ExploredDesign,
	options: SearchOptions,
): Promise<SearchResult> {
	const dfs = new Dfs(scenario, design, options);
	await dfs.run();
	const {executions, pruned, steps, states, completeBound, findings} = dfs;
	const complete = completeBound === options.bound;
	return {found: findings.sorted, executions, pruned, steps, states, complete, completeBound};
}

/**
 * At random: each thread has a priority, the highest that can goes on, and at `bound` random places the one that runs
 * falls to the lowest. Never complete.
 */
export async function searchByPriority(
	scenario: Scenario,
	design: ExploredDesign,
	{bound, schedules, seed, goOn}: SearchOptions & {readonly seed: number},
): Promise<SearchResult> {
	const random = new Random(seed);
	const findings = new Findings();
	const masks = new Map<string, number>();
	let executions = 0;
	let steps = 0;
	let length = 50; // the longest schedule so far: change points fall within it
	while (executions < schedules) {
		if (executions % ASK_EVERY === 0 && (await goOn?.(executions, findings.size)) === false) {
			break;
		}
		executions++;
		const execution = new Execution(scenario, design, masks);
		const priorities = execution.names.map(() => bound + 1 + random.below(2 ** 20));
		const changes = Array.from({length: bound}, () => random.below(length));
		for (let able = execution.able; able !== 0 && !execution.isOver; able = execution.able) {
			const change = changes.indexOf(execution.steps.length);
			if (change >= 0 && execution.last >= 0) {
				priorities[execution.last] = change;
			}
			let best = -1;
			for (let at = 0; at < priorities.length; at++) {
				if ((able & (1 << at)) !== 0 && (best < 0 || priorities[at]! > priorities[best]!)) {
					best = at;
				}
			}
			execution.step(best);
		}
		findings.note(execution);
		steps += execution.steps.length;
		length = Math.max(length, Math.min(execution.steps.length, MAX_STEPS));
	}
	const found = findings.sorted;
	return {found, executions, pruned: 0, steps, states: 0, complete: false, completeBound: -1};
}
