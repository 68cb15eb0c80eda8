/**
 * A device of one's own under the conformance kit: a balloon of VIRTIO 1.4 5.5 with nothing but an inflate and a deflate
 * queue, written without vmsim's device code. The kit gives it guest memory, an interrupt line and a clock.
 *
 *     vmsim conformance --target dist/examples/own-device.js
 */
import type {AccessWidth, DeviceParts, TestedDevice} from 'vmsim';

const PAGE = 4096;
const FEATURES_OK = 8;
const LIVE = 4 | FEATURES_OK;
const NEEDS_RESET = 64;
const QUEUE_SIZE_MAX = 256;

interface Queue {
	size: number;
	ready: boolean;
	/** Low and high words of the three areas, by register offset. */
	words: Record<number, number>;
	lastAvail: number;
	used: number;
}

function freshQueue(): Queue {
	return {size: 0, ready: false, words: {}, lastAvail: 0, used: 0};
}

/** Addresses of descriptor table, available and used ring. */
function areas({words}: Queue): [desc: number, avail: number, used: number] {
	const area = (low: number) => (words[low] ?? 0) + (words[low + 4] ?? 0) * 2 ** 32;
	return [area(0x080), area(0x090), area(0x0a0)];
}

class OwnDevice implements TestedDevice {
	readonly #parts: DeviceParts;
	#queues = [freshQueue(), freshQueue()];
	#sel = {features: 0, driver: 0, queue: 0};
	#accepted = [0, 0];
	#strange = false;
	#status = 0;
	#interrupt = 0;
	#generation = 0;
	readonly #config = new DataView(new ArrayBuffer(8));

	constructor(parts: DeviceParts) {
		this.#parts = parts;
	}

	/** The host's wish, num_pages. */
	setTargetPages(pages: number): void {
		this.#config.setUint32(0, pages, true);
		this.#generation++;
		if (this.#status & 4) {
			this.#raise(2);
		}
	}

	read(offset: number, width: AccessWidth): number {
		if (offset >= 0x100) {
			let value = 0;
			for (let i = width - 1; i >= 0; i--) {
				const at = offset - 0x100 + i;
				value = value * 256 + (at < this.#config.byteLength ? this.#config.getUint8(at) : 0xff);
			}
			return value;
		}
		const queue = this.#queues[this.#sel.queue];
		const registers: Record<number, number> = {
			0x000: 0x7472_6976,
			0x004: 2,
			0x008: 5,
			0x010: this.#sel.features === 1 ? 1 : 0,
			0x034: queue ? QUEUE_SIZE_MAX : 0,
			0x044: queue?.ready ? 1 : 0,
			0x060: this.#interrupt,
			0x070: this.#status,
			0x0b0: 0xffff_ffff,
			0x0b4: 0xffff_ffff,
			0x0b8: 0xffff_ffff,
			0x0bc: 0xffff_ffff,
			0x0fc: this.#generation,
		};
		return registers[offset] ?? 0;
	}

	write(offset: number, width: AccessWidth, value: number): void {
		const queue = this.#queues[this.#sel.queue];
		if (offset >= 0x104 && offset + width <= 0x108) {
			for (let i = 0; i < width; i++) {
				this.#config.setUint8(offset - 0x100 + i, (value >>> (8 * i)) & 0xff);
			}
		} else if (offset === 0x014) {
			this.#sel.features = value;
		} else if (offset === 0x020) {
			this.#takeFeatures(value);
		} else if (offset === 0x024) {
			this.#sel.driver = value;
		} else if (offset === 0x030) {
			this.#sel.queue = value;
		} else if (offset === 0x038 && queue) {
			queue.size = value;
		} else if (offset === 0x044 && queue) {
			Object.assign(queue, {ready: value === 1 && this.#isSound(queue), lastAvail: 0, used: 0});
		} else if (offset === 0x050) {
			this.#serve(value);
		} else if (offset === 0x064) {
			this.#interrupt &= ~value;
			this.#parts.setInterrupt(this.#interrupt !== 0);
		} else if (offset === 0x070) {
			this.#writeStatus(value);
		} else if (offset >= 0x080 && offset <= 0x0a4 && queue) {
			queue.words[offset] = value;
		}
	}

	#takeFeatures(value: number): void {
		if (this.#status & FEATURES_OK) {
			return;
		}
		const offered = this.#sel.driver === 1 ? 1 : 0;
		this.#strange ||= (value & ~offered) !== 0;
		this.#accepted[this.#sel.driver] = value;
	}

	#writeStatus(value: number): void {
		if (value === 0) {
			this.#queues = [freshQueue(), freshQueue()];
			this.#status = this.#interrupt = 0;
			this.#accepted = [0, 0];
			this.#strange = false;
			this.#parts.setInterrupt(false);
			return;
		}
		const agreed = !this.#strange && this.#accepted[1] === 1;
		this.#status |= agreed ? value : value & ~FEATURES_OK;
		if ((this.#status & LIVE) === LIVE) {
			this.#queues.forEach((_, index) => this.#serve(index));
		}
	}

	#serve(index: number): void {
		const queue = this.#queues[index];
		if (!queue?.ready || (this.#status & (LIVE | NEEDS_RESET)) !== LIVE) {
			return;
		}
		const {ram} = this.#parts;
		const [desc, avail, used] = areas(queue);
		const before = queue.used;
		while (queue.lastAvail !== ram.read16(avail + 2)) {
			const ahead = (ram.read16(avail + 2) - queue.lastAvail) & 0xffff;
			const head = ram.read16(avail + 4 + 2 * (queue.lastAvail % queue.size));
			const message = ahead <= queue.size ? this.#message(desc, queue.size, head) : undefined;
			if (!message) {
				this.#status |= NEEDS_RESET;
				this.#generation++;
				this.#raise(2);
				return;
			}
			queue.lastAvail = (queue.lastAvail + 1) & 0xffff;
			if (index === 0) {
				this.#discard(message);
			}
			const element = used + 4 + 8 * (queue.used % queue.size);
			ram.write32(element, head);
			ram.write32(element + 4, 0);
			queue.used = (queue.used + 1) & 0xffff;
			ram.write16(used + 2, queue.used);
		}
		if (queue.used !== before && (ram.read16(avail) & 1) === 0) {
			this.#raise(1);
		}
	}

	/** The areas of a queue lie in memory, aligned, and its size is a power of two. */
	#isSound(queue: Queue): boolean {
		const {size} = queue;
		const [desc, avail, used] = areas(queue);
		return (
			[1, 2, 4, 8, 16, 32, 64, 128, 256].includes(size) &&
			desc % 16 === 0 &&
			avail % 2 === 0 &&
			used % 4 === 0 &&
			this.#parts.ram.contains(desc, 16 * size) &&
			this.#parts.ram.contains(avail, 6 + 2 * size) &&
			this.#parts.ram.contains(used, 6 + 8 * size)
		);
	}

	/** The readable bytes of a chain, or undefined if it cannot be followed. */
	#message(desc: number, size: number, head: number): Uint8Array | undefined {
		const {ram} = this.#parts;
		const bytes: number[] = [];
		for (let index = head, steps = 0; ; steps++) {
			if (index >= size || steps >= size) {
				return undefined;
			}
			const at = desc + 16 * index;
			const address = ram.read32(at) + ram.read32(at + 4) * 2 ** 32;
			const length = ram.read32(at + 8);
			const flags = ram.read16(at + 12);
			if (!ram.contains(address, length)) {
				return undefined;
			}
			if ((flags & 2) === 0) {
				bytes.push(...ram.readBytes(address, new Uint8Array(length)));
			}
			if ((flags & 1) === 0) {
				return Uint8Array.from(bytes);
			}
			index = ram.read16(at + 14);
		}
	}

	#discard(message: Uint8Array): void {
		const {ram} = this.#parts;
		const view = new DataView(message.buffer);
		for (let at = 0; at + 4 <= message.length; at += 4) {
			const page = view.getUint32(at, true) * PAGE;
			if (ram.contains(page, PAGE)) {
				ram.discard(page, PAGE);
			}
		}
		ram.flushDiscards();
	}

	#raise(bit: number): void {
		this.#interrupt |= bit;
		this.#parts.setInterrupt(true);
	}
}

/** What the kit looks for in a module. */
export function createDevice(parts: DeviceParts): TestedDevice {
	return new OwnDevice(parts);
}
