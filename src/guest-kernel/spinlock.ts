/** A spinlock of the guest kernel: mutual exclusion between kernel threads, with the facts that lock checking needs. */
import {assert} from '../errors.js';
import {point, until, type KernelThread} from './task.js';

/** How a lock is taken: `irq` disables interrupts on this CPU first (spin_lock_irq, spin_lock_irqsave). */
export type LockMode = 'irq' | 'plain';

/** Sees every acquisition and release; lock checking and schedules listen here. */
export interface LockObserver {
	acquired(lock: Spinlock, mode: LockMode): void;
	released(lock: Spinlock): void;
}

export class Spinlock {
	readonly name: string;
	/** How often it was taken since boot. */
	acquisitions = 0;
	held = false;
	observer: LockObserver | undefined;

	constructor(name: string) {
		this.name = name;
	}

	/** Takes the lock in a thread that may have to wait for another one. */
	*acquire(mode: LockMode): KernelThread {
		yield point(`lock ${this.name}`);
		while (this.held) {
			yield until(`spin on ${this.name}`, () => !this.held);
		}
		this.take(mode);
	}

	/** Takes the lock where no other thread can hold it: between two yields. */
	take(mode: LockMode): void {
		assert(!this.held, `${this.name} is free when it is taken between two yields`);
		this.held = true;
		this.acquisitions++;
		this.observer?.acquired(this, mode);
	}

	release(): void {
		assert(this.held, `${this.name} is held when it is released`);
		this.held = false;
		this.observer?.released(this);
	}
}
