/**
 * Lock checking in the small: learns from every acquisition how each class of locks is used, and says what could lock up
 * even if this run did not. Linux 6.12 kernel/locking/lockdep.c; Documentation/locking/lockdep-design.rst.
 *
 * - A class that an interrupt takes must never be taken with interrupts enabled: the interrupt could come on top of it
 *   and spin for ever on what its own CPU holds.
 * - Classes have one order: held A while taking B, and somewhere else held B while taking A, is a deadlock to be.
 * - A class is not taken twice by one thread.
 *
 * Inaccuracies: no read locks, no nesting annotations, and no chain from an irq-safe to an irq-unsafe class.
 */
import type {LockMode, LockObserver, Spinlock} from './spinlock.js';

/** What the CPU is doing. */
export type LockContext = 'task' | 'softirq' | 'hardirq';

export interface LockReport {
	readonly kind: 'irq-safety' | 'order' | 'recursion';
	/** The classes concerned; the first is the one that was being taken. */
	readonly classes: readonly string[];
	/** In lockdep's words. */
	readonly text: string;
}

export interface LockdepDeps {
	/** What runs now. */
	context(): LockContext;
	/** Who runs now, for locks that are held across a yield; default one thread. */
	thread?(): unknown;
}

interface LockClass {
	readonly name: string;
	/** Taken inside an interrupt of that kind. */
	readonly takenIn: {softirq: boolean; hardirq: boolean};
	/** Taken where an interrupt of that kind could come. */
	readonly takenWithOn: {softirq: boolean; hardirq: boolean};
	/** Classes that were taken while this one was held. */
	readonly after: Set<LockClass>;
}

interface Held {
	readonly lock: Spinlock;
	readonly mode: LockMode;
}

export class Lockdep implements LockObserver {
	/** What is wrong, each thing once. */
	readonly reports: LockReport[] = [];
	readonly #deps: LockdepDeps;
	readonly #classes = new Map<string, LockClass>();
	readonly #classOf = new Map<Spinlock, LockClass>();
	readonly #held = new Map<unknown, Held[]>();

	constructor(deps: LockdepDeps) {
		this.#deps = deps;
	}

	/** Watches a lock from now on. Locks of one kind share a class: all `zone->lock`, say. */
	watch(lock: Spinlock, className: string): void {
		let lockClass = this.#classes.get(className);
		if (lockClass === undefined) {
			lockClass = {
				name: className,
				takenIn: {softirq: false, hardirq: false},
				takenWithOn: {softirq: false, hardirq: false},
				after: new Set(),
			};
			this.#classes.set(className, lockClass);
		}
		this.#classOf.set(lock, lockClass);
		lock.observer = this;
	}

	acquired(lock: Spinlock, mode: LockMode): void {
		const lockClass = this.#classOf.get(lock)!;
		const held = this.#heldNow();
		this.#checkContext(lockClass, mode === 'irq' || held.some((other) => other.mode === 'irq'));
		for (const other of held) {
			this.#checkOrder(this.#classOf.get(other.lock)!, lockClass);
		}
		held.push({lock, mode});
	}

	released(lock: Spinlock): void {
		for (const held of this.#held.values()) {
			const at = held.findIndex((other) => other.lock === lock);
			if (at >= 0) {
				held.splice(at, 1);
				return;
			}
		}
	}

	/** An interrupt holds its own locks, whoever it came upon. */
	#heldNow(): Held[] {
		const context = this.#deps.context();
		const who = context === 'task' ? this.#deps.thread?.() : context;
		let held = this.#held.get(who);
		if (held === undefined) {
			this.#held.set(who, (held = []));
		}
		return held;
	}

	/** mark_lock: the usage bits of the class, and whether they go together. */
	#checkContext(lockClass: LockClass, irqsOff: boolean): void {
		const context = this.#deps.context();
		const {takenIn, takenWithOn} = lockClass;
		if (context !== 'task') {
			takenIn[context] = true;
		}
		if (!irqsOff && context !== 'hardirq') {
			takenWithOn.hardirq = true;
			takenWithOn.softirq ||= context === 'task'; // a softirq does not come upon a softirq
		}
		for (const irq of ['softirq', 'hardirq'] as const) {
			if (takenIn[irq] && takenWithOn[irq]) {
				const name = irq.toUpperCase();
				this.#report('irq-safety', [lockClass], `inconsistent {IN-${name}-W} and {${name}-ON-W} usage`);
			}
		}
	}

	#checkOrder(held: LockClass, taken: LockClass): void {
		if (held === taken) {
			this.#report('recursion', [taken], 'possible recursive locking detected');
			return;
		}
		if (reaches(taken, held, new Set())) {
			this.#report('order', [taken, held], 'possible circular locking dependency detected');
		}
		held.after.add(taken);
	}

	#report(kind: LockReport['kind'], classes: readonly LockClass[], what: string): void {
		const names = classes.map(({name}) => name);
		const text = `${what}: ${names.join(' while holding ')}`;
		if (!this.reports.some((report) => report.text === text)) {
			this.reports.push({kind, classes: names, text});
		}
	}
}

/** Was `target` ever taken while `from` was held, or something taken while something taken ... ? */
function reaches(from: LockClass, target: LockClass, seen: Set<LockClass>): boolean {
	if (from === target) {
		return true;
	}
	seen.add(from);
	return [...from.after].some((next) => !seen.has(next) && reaches(next, target, seen));
}
