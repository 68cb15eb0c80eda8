/** Somebody outside holds a run between two slices and lets it go on: a monitor. No imports: ground floor. */

export interface RunGate {
	/** Virtual time at which a slice ends at the latest where the guest can be stopped; Infinity for no such wish. */
	readonly sliceEndNs: number;
	/** Awaited before every slice: the run stands still until it is fulfilled, and ends there if that is with false. */
	pass(): Promise<boolean>;
}

/** Nobody holds it. */
export const OPEN_GATE: RunGate = {sliceEndNs: Infinity, pass: () => Promise.resolve(true)};
