/**
 * Kernel threads are generators. They yield where the real code can be preempted, spin, sleep or wait; whoever drives
 * them decides what happens there. The scheduler drives them straight through; an explorer tries every interleaving.
 *
 * Code that is too hot to be a generator (the allocator's fast path) runs between two yields, which is to say with
 * the CPU to itself.
 */

/** What a thread says when it yields. `what` names the place for a schedule's listing, for example "lock DMA32". */
export type Wait =
	/** May be preempted here: an access to shared state follows. */
	| {readonly kind: 'point'; readonly what: string}
	/** Cannot go on until `ready()`; `ready` is cheap, has no effect, and is asked again after every change. */
	| {readonly kind: 'until'; readonly what: string; readonly ready: () => boolean}
	/** Sleeps for so many virtual nanoseconds. */
	| {readonly kind: 'sleep'; readonly what: string; readonly ns: number};

export type KernelThread<T = void> = Generator<Wait, T, void>;

export function point(what: string): Wait {
	return {kind: 'point', what};
}

export function until(what: string, ready: () => boolean): Wait {
	return {kind: 'until', what, ready};
}

export function sleep(what: string, ns: number): Wait {
	return {kind: 'sleep', what, ns};
}

/**
 * Drives a thread that is known to need no waiting (its locks are free, it never sleeps) to its end at once.
 * Throws if it would have to wait: then the caller should have been a thread itself.
 */
export function runThrough<T>(thread: KernelThread<T>): T {
	for (;;) {
		const step = thread.next();
		if (step.done) {
			return step.value;
		}
		const wait = step.value;
		if (wait.kind === 'sleep' || (wait.kind === 'until' && !wait.ready())) {
			throw new Error(`a thread had to wait where it must not: ${wait.what}`);
		}
	}
}
