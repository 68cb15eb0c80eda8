/** Real time passes, with this thread standing still: for a process beside it that works in real time. */
export function sleepSync(ms: number): void {
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
