/** A scatter-gather list: address ranges that travel as one buffer. Reused from call to call, so that none is garbage. */
import {assert} from '../../errors.js';

export class SgList {
	readonly addresses: Float64Array;
	readonly sizes: Float64Array;
	length = 0;

	constructor(capacity: number) {
		this.addresses = new Float64Array(capacity);
		this.sizes = new Float64Array(capacity);
	}

	/** Adds a range; address and size in bytes. Returns itself. */
	add(address: number, sizeBytes: number): this {
		assert(this.length < this.addresses.length, 'a scatter-gather list is not overfilled');
		this.addresses[this.length] = address;
		this.sizes[this.length] = sizeBytes;
		this.length++;
		return this;
	}

	clear(): this {
		this.length = 0;
		return this;
	}
}
