/**
 * One schedule in the making: who can go on, one step of somebody, and what became of it all in the end. A step runs
 * from one yield of a thread to its next. The worker is a thread that can begin whenever its work is queued.
 */
import {InvariantError} from '../errors.js';
import type {VmEvent} from '../events.js';
import type {LockObserver, Spinlock} from '../guest-kernel/spinlock.js';
import type {KernelThread, Wait} from '../guest-kernel/task.js';
import {EVERYTHING, History} from './history.js';
import type {Scenario} from './scenario.js';
import {judge, type Finding} from './verdict.js';
import {World, type ExploredDesign} from './world.js';
import type {ExploredWork} from './works.js';

/** What a step did: the place where its thread stood before. */
export interface Step {
	readonly thread: string;
	readonly does: string;
}

/** More steps than any schedule of a small scenario takes: who is still running then will run for ever. */
export const MAX_STEPS = 400;

const BEGIN = 'begin';

interface Participant {
	readonly name: string;
	/** The work whose runs it is; undefined for a thread of the scenario. */
	readonly work: ExploredWork | undefined;
	thread: KernelThread | undefined;
	/** Where it stands; undefined before its first step and after its last. */
	wait: Wait | undefined;
}

export class Execution implements LockObserver {
	readonly world: World;
	readonly steps: Step[] = [];
	/** Who did the last step, -1 at the start. */
	last = -1;
	preemptions = 0;
	readonly #participants: Participant[];
	readonly #history: History;
	readonly #locks = new Map<string, Spinlock>();
	readonly #masks: Map<string, number>;
	#touched = 0;
	#crash: Finding | undefined;

	/** `masks` remembers what each step touches by its name: give all executions of one search the same. */
	constructor(scenario: Scenario, design: ExploredDesign, masks = new Map<string, number>()) {
		this.#masks = masks;
		this.world = new World(scenario, design, {
			onEvent: (event) => this.#noteEvent(event),
			onWork: () => {
				this.#touched |= WORK;
			},
		});
		for (const zone of this.world.memory.zones) {
			zone.lock.observer = this;
			this.#locks.set(`lock ${zone.name}`, zone.lock);
		}
		this.#participants = [
			...this.world.threads.map(({name, thread}) => ({name, work: undefined, thread, wait: undefined})),
			...this.world.works.works.map((work) => ({
				name: work.name,
				work,
				thread: undefined,
				wait: undefined,
			})),
		];
		this.#history = new History(this.#participants.length);
		// Threads stand before their first access to anything shared.
		for (const participant of this.#participants) {
			if (participant.thread !== undefined) {
				this.#advance(participant);
			}
		}
		this.#touched = 0;
	}

	get names(): readonly string[] {
		return this.#participants.map(({name}) => name);
	}

	/** What this thread's next step would do. */
	next(at: number): string {
		return this.#participants[at]!.wait?.what ?? BEGIN;
	}

	/** Who can go on, as bits. Time passes only when nobody else can: who sleeps comes last. */
	get able(): number {
		let able = 0;
		let sleeping = 0;
		for (let at = 0; at < this.#participants.length; at++) {
			const {thread, wait, work} = this.#participants[at]!;
			if (thread === undefined) {
				able |= work?.pending === true ? 1 << at : 0;
			} else if (wait?.kind === 'sleep') {
				sleeping |= 1 << at;
			} else if (wait?.kind === 'until' ? wait.ready() : this.#locks.get(wait!.what)?.held !== true) {
				able |= 1 << at;
			}
		}
		return able === 0 ? sleeping : able;
	}

	/** The next step of a thread that can go on. */
	step(at: number): void {
		const participant = this.#participants[at]!;
		const does = this.next(at);
		const running = this.running(this.able);
		if (running >= 0 && running !== at) {
			this.preemptions++;
		}
		this.#touched = participant.work !== undefined && !this.#namesObjects ? EVERYTHING : this.#maskOf(does);
		if (participant.thread === undefined) {
			participant.thread = participant.work!.begin();
		}
		try {
			this.#advance(participant);
		} catch (error) {
			if (!(error instanceof InvariantError)) {
				throw error;
			}
			this.#crash = {kind: 'corruption', text: error.message};
		}
		this.steps.push({thread: participant.name, does});
		this.#history.add(at, this.#touched);
		this.last = at;
	}

	/** Nothing more can come of it: something is wrong that nothing makes right again. */
	get isOver(): boolean {
		return this.#crash !== undefined || this.world.dataLost.length > 0 || this.steps.length >= MAX_STEPS;
	}

	/** Who would have to be preempted if another one went on now; -1 if nobody. */
	running(able: number): number {
		const {last} = this;
		return last >= 0 && this.#participants[last]!.thread !== undefined && (able & (1 << last)) !== 0
			? last
			: -1;
	}

	/** A number for the state that it has led to, and for who runs. */
	key(able: number): number {
		return this.#history.key(this.running(able));
	}

	/** What is wrong in the end: when nobody can go on, or when it is over. */
	verdict(): Finding | undefined {
		if (this.#crash !== undefined) {
			return this.#crash;
		}
		const waiting = this.#participants
			.filter(({thread}) => thread !== undefined)
			.map(({name, wait}) => ({name, what: wait!.what}));
		return judge(this.world, this.steps, {waiting, endless: this.steps.length >= MAX_STEPS});
	}

	acquired(lock: Spinlock): void {
		this.#touched |= this.#zoneMask(lock.name);
	}

	released(lock: Spinlock): void {
		this.#touched |= this.#zoneMask(lock.name);
	}

	#advance(participant: Participant): void {
		const {done, value} = participant.thread!.next();
		participant.wait = done === true ? undefined : value;
		if (done === true) {
			participant.thread = undefined;
			if (participant.work !== undefined) {
				participant.work.thread = undefined;
				this.#touched |= WORK;
			}
		}
	}

	#noteEvent(event: VmEvent): void {
		if (event.type === 'report-submit' || event.type === 'report-return') {
			this.#touched |= this.#zoneMask(event.zone);
		} else if (event.type === 'page-alloc' || event.type === 'page-free') {
			this.#touched |= this.#zoneMask(this.world.memory.zoneOf(event.pfn)!.name);
		}
	}

	#zoneMask(name: string): number {
		return this.#maskOf(`zone ${name}`);
	}

	/** The bitmap designs' worker says what each step touches; mainline's looks at any zone before it takes a lock. */
	get #namesObjects(): boolean {
		return this.world.reporting.audit !== undefined;
	}

	/**
	 * What a step touches besides the zones whose locks it takes, by the object that its name ends with. What happens
	 * under a zone's lock, and its bitmap, belong to the zone. A name that is not known could be anything.
	 */
	#maskOf(does: string): number {
		let mask = this.#masks.get(does);
		if (mask === undefined) {
			mask = this.#readMask(does);
			this.#masks.set(does, mask);
		}
		return mask;
	}

	#readMask(does: string): number {
		const object = does.slice(does.lastIndexOf(' ') + 1);
		const zone = this.world.memory.zones.findIndex(({name}) => name === object);
		if (zone >= 0) {
			return FIRST_ZONE << zone;
		}
		return OBJECTS[object] ?? (does === 'allocate' || does === 'host answers' ? 0 : EVERYTHING);
	}
}

const WORK = 1;
const OBJECTS: Readonly<Record<string, number>> = {refcnt: 2, page_reporting_conf: 4, state: 8};
const FIRST_ZONE = 16;
