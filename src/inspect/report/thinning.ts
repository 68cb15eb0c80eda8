/**
 * A list that stays short however much is put in: when it is full, every other entry goes and from then on only every
 * second, fourth, eighth... is taken. First and last are always there, and what is left is evenly spread.
 */
export class ThinningList<T> {
	/** Entries put in so far. */
	seen = 0;
	readonly #limit: number;
	#kept: T[] = [];
	#stride = 1;
	#last: T | undefined;

	/** Keeps at most `limit` entries and the last one. */
	constructor(limit: number) {
		this.#limit = limit;
	}

	add(entry: T): void {
		this.#last = entry;
		if (this.seen++ % this.#stride !== 0) {
			return;
		}
		this.#kept.push(entry);
		if (this.#kept.length > this.#limit) {
			this.#kept = this.#kept.filter((_, index) => index % 2 === 0);
			this.#stride *= 2;
		}
	}

	get entries(): T[] {
		const lastKept = (this.seen - 1) % this.#stride === 0;
		return this.#last === undefined || lastKept ? [...this.#kept] : [...this.#kept, this.#last];
	}
}
