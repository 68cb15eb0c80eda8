/** What a fuzzer has reached: counters by name, and those that are still at zero. */

export class Reach {
	readonly #counts: Map<string, number>;

	/** `names` are what should be reached; whatever else is counted is left aside. */
	constructor(names: readonly string[]) {
		this.#counts = new Map(names.map((name) => [name, 0]));
	}

	count(name: string): void {
		const count = this.#counts.get(name);
		if (count !== undefined) {
			this.#counts.set(name, count + 1);
		}
	}

	get counts(): ReadonlyMap<string, number> {
		return this.#counts;
	}

	/** Names of what was never reached. */
	get missing(): string[] {
		return [...this.#counts].filter(([, count]) => count === 0).map(([name]) => name);
	}

	/** Per group, which is a name up to its colon: how many names it has, and the rarest of them. */
	summary(): string[] {
		const groups = new Map<string, [string, number][]>();
		for (const entry of this.#counts) {
			const group = entry[0].split(':')[0]!;
			groups.set(group, [...(groups.get(group) ?? []), entry]);
		}
		return [...groups.values()].map((entries) => {
			const [name, count] = entries.reduce((least, entry) => (entry[1] < least[1] ? entry : least));
			return `${entries.length} of them, the rarest is "${name}" with ${count}`;
		});
	}
}
