/** One mistake in code under test, for the proof that a check sees it: a method is replaced for the time of a call. */

// The methods are called with the object they were taken from, whatever it is.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Method = (this: any, ...args: any[]) => any;
/** Runs something with the mistake in place. */
export type Defect = (run: () => void) => void;

/** The method `name` of a prototype is what `make` makes of it. */
export function defect<T extends object>(
	prototype: T,
	name: keyof T,
	make: (original: Method) => Method,
): Defect {
	return (run) => {
		const descriptor = Object.getOwnPropertyDescriptor(prototype, name)!;
		Object.defineProperty(prototype, name, {...descriptor, value: make(descriptor.value as Method)});
		try {
			run();
		} finally {
			Object.defineProperty(prototype, name, descriptor);
		}
	};
}
