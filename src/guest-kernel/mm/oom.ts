/**
 * Out of memory: first whoever registered gives something back (the balloon, 256 pages at priority 80), then a process
 * is killed. Linux 6.12 mm/oom_kill.c (out_of_memory, register_oom_notifier).
 */
import type {Trace} from '../../events.js';
import type {KernelThread} from '../task.js';
import type {VmEvents} from './vm-events.js';

/** Gives memory back; the pages freed, at once or after waiting for a device. */
export type OomNotifier = () => number | KernelThread<number>;

/** A process that may be killed for its memory. */
export interface OomVictim {
	readonly name: string;
	/** Pages it holds: the largest goes first; nobody is killed for nothing. */
	rssPages(): number;
	/** Ends it and frees its pages; returns how many. */
	kill(): number;
}

export class Oom {
	readonly #trace: Trace;
	readonly #events: VmEvents;
	/** Highest priority first; equal ones in order of registration. */
	#notifiers: {priority: number; notify: OomNotifier}[] = [];
	#victims: OomVictim[] = [];
	/** oom_lock: one at a time; others sleep a tick and try their allocation again. */
	#busy = false;

	constructor(trace: Trace, events: VmEvents) {
		this.#trace = trace;
		this.#events = events;
	}

	/** True while out_of_memory runs in some thread. */
	get busy(): boolean {
		return this.#busy;
	}

	/** Returns the function that takes the registration back. */
	registerNotifier(priority: number, notify: OomNotifier): () => void {
		const entry = {priority, notify};
		const after = this.#notifiers.findIndex((other) => other.priority < priority);
		this.#notifiers.splice(after < 0 ? this.#notifiers.length : after, 0, entry);
		return () => {
			this.#notifiers = this.#notifiers.filter((other) => other !== entry);
		};
	}

	/** Returns the function that takes the registration back. */
	registerVictim(victim: OomVictim): () => void {
		this.#victims.push(victim);
		return () => {
			this.#victims = this.#victims.filter((other) => other !== victim);
		};
	}

	/** Makes room. True if that is worth another try; false if nobody has anything to give. */
	*outOfMemory(): KernelThread<boolean> {
		this.#busy = true;
		try {
			let freed = 0;
			for (const {notify} of [...this.#notifiers]) {
				const answer = notify();
				freed += typeof answer === 'number' ? answer : yield* answer;
			}
			if (freed > 0) {
				this.#emit(`${freed} pages given back by oom notifiers`);
				return true;
			}
			let victim: OomVictim | undefined;
			for (const candidate of this.#victims) {
				if (candidate.rssPages() > (victim?.rssPages() ?? 0)) {
					victim = candidate;
				}
			}
			if (victim === undefined) {
				this.#emit('out of memory and no killable processes');
				return false;
			}
			const pages = victim.kill();
			this.#events.oom_kill++;
			this.#emit(`killed ${victim.name}, ${pages} pages freed`);
			return true;
		} finally {
			this.#busy = false;
		}
	}

	#emit(detail: string): void {
		if (this.#trace.active) {
			this.#trace.emit({type: 'oom', detail});
		}
	}
}
