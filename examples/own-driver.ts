/**
 * A driver of one's own: a balloon driver of VIRTIO 1.4 5.5 that can inflate and nothing else, written without vmsim's
 * driver code. All it knows of the world is a load and a store at physical addresses, so that it would run on any machine.
 */

/** What the driver is given: the hart's loads and stores, bytes wide, little-endian. */
export interface Hart {
	load(address: number, width: 2 | 4): number;
	store(address: number, width: 2 | 4, value: number): void;
}

const SIZE = 8;
const OK = 1 | 2 | 8;

export class OwnDriver {
	/** Page frame numbers that the device has taken, in the order in which it said so. */
	readonly inBalloon: number[] = [];
	/** What the device did that no device may do. */
	readonly complaints: string[] = [];
	readonly #hart: Hart;
	readonly #slot: number;
	readonly #desc: number;
	readonly #avail: number;
	readonly #used: number;
	readonly #messages: number;
	readonly #free = Array.from({length: SIZE}, (_, index) => index);
	/** Page frame numbers of the messages that the device has, by descriptor. */
	readonly #inFlight = new Map<number, number[]>();
	#availIdx = 0;
	#usedIdx = 0;

	/** `slot`: where the registers are. `memory`: 32 KiB of the driver's own. */
	constructor(hart: Hart, slot: number, memory: number) {
		this.#hart = hart;
		this.#slot = slot;
		this.#desc = memory;
		this.#avail = memory + 0x100;
		this.#used = memory + 0x200;
		this.#messages = memory + 0x1000;
	}

	/** Brings the device up; false if it is none that the driver can work with. */
	probe(): boolean {
		if (this.#read(0x000) !== 0x7472_6976 || this.#read(0x004) !== 2 || this.#read(0x008) !== 5) {
			return false;
		}
		this.#write(0x070, 0);
		this.#write(0x070, 1);
		this.#write(0x070, 3);
		this.#write(0x014, 1);
		if ((this.#read(0x010) & 1) === 0) {
			this.#write(0x070, 0x83);
			return false;
		}
		this.#write(0x024, 1);
		this.#write(0x020, 1); // VIRTIO_F_VERSION_1
		this.#write(0x024, 0);
		this.#write(0x020, 0);
		this.#write(0x070, OK);
		if ((this.#read(0x070) & 8) === 0) {
			this.#write(0x070, 0x80 | 3);
			return false;
		}
		this.#write(0x030, 0);
		this.#write(0x038, SIZE);
		for (const [register, address] of [
			[0x080, this.#desc],
			[0x090, this.#avail],
			[0x0a0, this.#used],
		] as const) {
			this.#write(register, address % 2 ** 32);
			this.#write(register + 4, Math.floor(address / 2 ** 32));
		}
		this.#write(0x044, 1);
		this.#write(0x070, OK | 4);
		return true;
	}

	/** Offers pages to the balloon; false if all descriptors are with the device. */
	inflate(...pfns: number[]): boolean {
		const index = this.#free.shift();
		if (index === undefined) {
			return false;
		}
		const hart = this.#hart;
		const message = this.#messages + 0x400 * index;
		pfns.forEach((pfn, i) => hart.store(message + 4 * i, 4, pfn));
		const at = this.#desc + 16 * index;
		hart.store(at, 4, message % 2 ** 32);
		hart.store(at + 4, 4, Math.floor(message / 2 ** 32));
		hart.store(at + 8, 4, 4 * pfns.length);
		hart.store(at + 12, 4, 0);
		hart.store(this.#avail + 4 + 2 * (this.#availIdx % SIZE), 2, index);
		this.#availIdx = (this.#availIdx + 1) & 0xffff;
		hart.store(this.#avail + 2, 2, this.#availIdx);
		this.#inFlight.set(index, pfns);
		this.#write(0x050, 0);
		return true;
	}

	/** The interrupt handler. */
	interrupt(): void {
		const causes = this.#read(0x060) & 3;
		this.#write(0x064, causes);
		const usedIdx = this.#hart.load(this.#used + 2, 2);
		const before = this.inBalloon.length;
		for (; this.#usedIdx !== usedIdx; this.#usedIdx = (this.#usedIdx + 1) & 0xffff) {
			this.#returned(this.#hart.load(this.#used + 4 + 8 * (this.#usedIdx % SIZE), 4));
		}
		if (this.inBalloon.length > before) {
			this.#write(0x104, this.inBalloon.length); // actual
		}
	}

	/** A chain is back, if it is one. The used length says nothing here: the device had nothing to write. */
	#returned(id: number): void {
		const pfns = this.#inFlight.get(id);
		if (!pfns) {
			this.complaints.push(`used id ${id} was not with the device`);
			return;
		}
		this.#inFlight.delete(id);
		this.#free.push(id);
		this.inBalloon.push(...pfns);
	}

	#read(register: number): number {
		return this.#hart.load(this.#slot + register, 4);
	}

	#write(register: number, value: number): void {
		this.#hart.store(this.#slot + register, 4, value);
	}
}
