/** A sleeping lock of the guest kernel: unlike a spinlock it may be held across a wait. */
import {assert} from '../errors.js';
import {until, type KernelThread} from './task.js';

export class Mutex {
	readonly name: string;
	#held = false;

	constructor(name: string) {
		this.name = name;
	}

	get held(): boolean {
		return this.#held;
	}

	*lock(): KernelThread {
		while (this.#held) {
			yield until(`mutex ${this.name}`, () => !this.#held);
		}
		this.#held = true;
	}

	unlock(): void {
		assert(this.#held, `${this.name} is held when it is unlocked`);
		this.#held = false;
	}
}
