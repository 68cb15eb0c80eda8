/**
 * Our balloon in a machine of its own under a hostile driver: guest memory on a small host that a second guest shares,
 * and the invariants that hold after every operation.
 */
import {RAM_BASE} from '../board/memory-map.js';
import {Tracer, type VmEvent} from '../events.js';
import {HostMemory} from '../host/frames.js';
import {GuestMemory} from '../host/guest-memory.js';
import {ScriptedDriver, readable, writable} from '../kit/scripted-driver.js';
import {MiB, PAGE_SIZE} from '../units.js';
import {VirtioBalloon} from '../virtio/balloon/balloon.js';
import {balloonQueueNumbers} from '../virtio/balloon/spec.js';
import {VirtioMmioTransport} from '../virtio/mmio-transport.js';
import {
	availElemOffset,
	availRingSizeBytes,
	descTableSizeBytes,
	usedRingSizeBytes,
	VIRTQ_DESC,
} from '../virtio/ring-layout.js';
import {MMIO_REGISTERS, VIRTQ_DESC_F_NEXT} from '../virtio/spec.js';
import {DeviceChecker} from './device-checker.js';
import type {DeviceOperation, DeviceSetup} from './device-operations.js';
import {GuardedRam} from './guarded-ram.js';
import {WIDE_QUEUE} from './queue-place.js';
import {Violation, require} from './violation.js';

const HOST_BYTES = 8 * MiB;
const NEIGHBOUR_PAGES = 8;
const CANARY = 0x5ca1_ab1e;
/** Accesses of a step that takes no chain: rings located and looked at, events with their indices. */
const STEP_CALLS = 2048;
/** Accesses per descriptor that a chain can hold: read by the device, by the record and by the check, with its buffer. */
const DESCRIPTOR_CALLS = 64;
/** Every how many operations all frames are counted and the neighbour's memory is compared. */
const AUDIT_INTERVAL = 32;

export class DeviceWorld {
	readonly checker: DeviceChecker;
	readonly memory: GuestMemory;
	readonly balloon: VirtioBalloon;
	readonly transport: VirtioMmioTransport;
	readonly #host: HostMemory;
	readonly #neighbour: GuestMemory;
	readonly #ram: GuardedRam;
	readonly #setup: DeviceSetup;
	#due: (() => void)[] = [];
	#inhibited = false;
	#line = false;
	#steps = 0;

	/**
	 * `inPlace`: the device uses its rings where they lie on the host; otherwise every access is checked. `onEvent` sees
	 * what the invariants see.
	 */
	constructor(setup: DeviceSetup, inPlace: boolean, onEvent: (event: VmEvent) => void = () => {}) {
		const {ramPages, hugePages, features, queueNumbering, queueSizeMax} = setup;
		this.#setup = setup;
		this.#host = new HostMemory({bankBytes: HOST_BYTES, limitBytes: HOST_BYTES});
		this.memory = new GuestMemory({
			base: RAM_BASE,
			sizeBytes: ramPages * PAGE_SIZE,
			host: this.#host,
			hugePages,
		});
		this.#neighbour = new GuestMemory({base: 0, sizeBytes: NEIGHBOUR_PAGES * PAGE_SIZE, host: this.#host});
		this.#neighbour.fill32(0, NEIGHBOUR_PAGES * PAGE_SIZE, CANARY);
		this.balloon = new VirtioBalloon({features, queueNumbering, queueSizeMax});
		this.checker = new DeviceChecker(this.memory, {
			inhibited: () => this.#inhibited,
			poisonVal: () => (this.balloon.offered.has(4) ? this.balloon.readConfig(12, 4) : 0),
		});
		this.#ram = new GuardedRam(this.memory, this.checker, inPlace);
		const trace = new Tracer(() => 0);
		trace.subscribe((event) => {
			this.checker.see(event);
			onEvent(event);
		});
		this.transport = new VirtioMmioTransport({
			slot: 0,
			device: this.balloon,
			ram: this.#ram,
			setInterrupt: (level) => void (this.#line = level),
			defer: (run) => void this.#due.push(run),
			trace,
		});
	}

	/** Does one operation and checks everything. Throws Violation, or whatever the device threw. */
	step(operation: DeviceOperation): void {
		this.#ram.calls = this.checker.taken = this.checker.takenDescriptors = 0;
		const entries = this.checker.ringEntries;
		this.#do(operation);
		if (!this.#setup.deferred) {
			this.#runDue();
		}
		this.checker.closeChain();
		if (operation.op !== 'recover') {
			const {taken, takenDescriptors} = this.checker;
			require(taken <= entries, 'hang', () => `${taken} chains of rings that hold ${entries}`);
			const budget = STEP_CALLS + DESCRIPTOR_CALLS * takenDescriptors;
			require(this.#ram.calls <= budget, 'hang', () => `${this.#ram.calls} accesses for ${taken} chains`);
		}
		this.#check();
		if (++this.#steps % AUDIT_INTERVAL === 0) {
			this.audit();
		}
	}

	/** The checks that look at all of memory. */
	audit(): void {
		const {frameMap, pages} = this.memory;
		const taken = new Set<number>();
		for (const map of [frameMap.subarray(0, pages), this.#neighbour.frameMap]) {
			for (const frame of map) {
				require(frame === 0 || !taken.has(frame), 'frames', () => `frame ${frame} backs two pages`);
				if (frame !== 0) {
					taken.add(frame);
				}
			}
		}
		const {framesBacked} = this.#host;
		require(taken.size === framesBacked, 'frames', () =>
			`${taken.size} frames are mapped and the host counts ${framesBacked}`);
		for (let address = 0; address < NEIGHBOUR_PAGES * PAGE_SIZE; address += 4) {
			require(this.#neighbour.read32(address) === CANARY, 'outside-memory', () =>
				`the other guest's memory changed at ${address}`);
		}
	}

	/** The guest goes: every frame is back. */
	close(): void {
		this.audit();
		this.memory.close();
		this.#neighbour.close();
		const {framesBacked} = this.#host;
		const bank = this.#host.bank(0);
		const used = bank.chunks * 512 - 512 - bank.freeFrames;
		require(framesBacked === 0 && used === 0, 'frames', () =>
			`${framesBacked} frames backed and ${used} not free after the guests are gone`);
	}

	/** free_page_hint_cmd_id, which a driver that wants hints to count must send. */
	get hintCommandId(): number {
		return this.balloon.readConfig(8, 4);
	}

	#check(): void {
		this.checker.checkChains();
		const {backedPages} = this.memory.counters;
		require(this.#host.framesBacked === backedPages + NEIGHBOUR_PAGES, 'frames', () =>
			`the host counts ${this.#host.framesBacked} frames, the guests ${backedPages} + ${NEIGHBOUR_PAGES}`);
		this.checker.mix(backedPages);
		const interrupts = this.transport.read(MMIO_REGISTERS.InterruptStatus.at, 4);
		require(interrupts <= 3 &&
			(interrupts !== 0) === this.#line &&
			this.#line === this.checker.line, 'registers', () =>
			`InterruptStatus ${interrupts}, line ${this.#line}`);
		const status = this.transport.read(MMIO_REGISTERS.Status.at, 4);
		require(status === this.checker.status, 'registers', () =>
			`Status reads ${status}, announced was ${this.checker.status}`);
		this.checker.mix(interrupts);
	}

	#runDue(): void {
		const due = this.#due;
		this.#due = [];
		for (const run of due) {
			run();
			this.checker.closeChain();
		}
	}

	#do(operation: DeviceOperation): void {
		const {memory, balloon} = this;
		switch (operation.op) {
			case 'write':
				this.transport.write(operation.offset, operation.width, operation.value);
				break;
			case 'read':
				this.#read(operation.offset, operation.width);
				break;
			case 'store':
				this.#store(operation.at, operation.width, operation.value);
				break;
			case 'words':
				operation.values.forEach((value, i) => this.#store(operation.at + 4 * i, 4, value));
				break;
			case 'descriptor':
				this.#storeDescriptor(operation.table, operation.index, operation);
				break;
			case 'descriptors': {
				const {table, count, low, len, flags} = operation;
				for (let index = 0; index < count; index++) {
					const next = index + 1 < count ? VIRTQ_DESC_F_NEXT : 0;
					this.#storeDescriptor(table, index, {low, high: 0, len, flags: flags | next, next: index + 1});
				}
				break;
			}
			case 'offer':
				this.#offer(operation.ring, operation.size, operation.heads, operation.jump);
				break;
			case 'negotiate':
				this.#driver().negotiate((BigInt(operation.high) << 32n) | BigInt(operation.low));
				break;
			case 'queue':
				this.#setUpQueue(operation);
				break;
			case 'watch':
				memory.watch(operation.page % memory.pages);
				break;
			case 'unwatch':
				memory.unwatch(operation.page % memory.pages);
				break;
			case 'host':
				this.#hostAction(operation.action, operation.value);
				break;
			case 'run':
				this.#runDue();
				break;
			case 'recover':
				balloon.inhibit((this.#inhibited = false));
				this.#recover();
				break;
		}
	}

	#driver(heap = 0): ScriptedDriver {
		return new ScriptedDriver(this.transport, this.memory, this.memory.base + heap);
	}

	#read(offset: number, width: 1 | 2 | 4 | 8): void {
		const value = this.transport.read(offset, width);
		const legal = Number.isInteger(value) && value >= 0 && value < 2 ** (8 * width);
		require(legal, 'registers', () => `offset ${offset} reads ${value} in ${width} B`);
		this.checker.mix(value);
	}

	#store(at: number, width: 1 | 2 | 4, value: number): void {
		const {memory} = this;
		if (!memory.contains(at, width)) {
			return;
		}
		if (width === 1) {
			memory.write8(at, value);
		} else if (width === 2) {
			memory.write16(at, value);
		} else {
			memory.write32(at, value);
		}
	}

	#storeDescriptor(
		table: number,
		index: number,
		{low, high, len, flags, next}: {low: number; high: number; len: number; flags: number; next: number},
	): void {
		const at = table + VIRTQ_DESC.sizeBytes * index;
		this.#store(at, 4, low);
		this.#store(at + 4, 4, high);
		this.#store(at + 8, 4, len);
		this.#store(at + 12, 2, flags);
		this.#store(at + 14, 2, next);
	}

	#offer(ring: number, size: number, heads: readonly number[], jump: number): void {
		const {memory} = this;
		if (size < 1 || !memory.contains(ring, availRingSizeBytes(size))) {
			return;
		}
		const idx = memory.read16(ring + 2);
		heads.forEach((head, i) => memory.write16(ring + availElemOffset(((idx + i) & 0xffff) % size), head));
		memory.write16(ring + 2, (idx + heads.length + jump) & 0xffff);
	}

	#setUpQueue(operation: Extract<DeviceOperation, {op: 'queue'}>): void {
		const {queue, size, desc, driver, device, clear} = operation;
		const areas = [
			[desc, descTableSizeBytes(size)],
			[driver, availRingSizeBytes(size)],
			[device, usedRingSizeBytes(size)],
		] as const;
		for (const [address, sizeBytes] of areas) {
			if (clear && size <= WIDE_QUEUE && this.memory.contains(address, sizeBytes)) {
				this.memory.writeBytes(address, new Uint8Array(sizeBytes));
			}
		}
		// The script would take memory for the areas that it is not given.
		const scripted = this.#driver();
		scripted.write('QueueSel', queue);
		scripted.write('QueueSize', size);
		for (const [low, [address]] of [
			['QueueDescLow', areas[0]],
			['QueueDriverLow', areas[1]],
			['QueueDeviceLow', areas[2]],
		] as const) {
			this.transport.write(MMIO_REGISTERS[low].at, 4, address % 2 ** 32);
			this.transport.write(MMIO_REGISTERS[low].at + 4, 4, Math.floor(address / 2 ** 32) % 2 ** 32);
		}
		scripted.write('QueueReady', 1);
	}

	#hostAction(action: string, value: number): void {
		const {balloon} = this;
		switch (action) {
			case 'target':
				balloon.setTargetPages(value % (this.memory.pages + 1));
				break;
			case 'stats':
				balloon.requestStats();
				break;
			case 'hint':
				balloon.startHinting();
				break;
			case 'stop-hint':
				balloon.stopHinting();
				break;
			case 'done-hint':
				balloon.doneHinting();
				break;
			case 'inhibit':
			case 'allow':
				balloon.inhibit((this.#inhibited = action === 'inhibit'));
		}
	}

	/** VIRTIO 1.4 2.4: after a reset the device is as at power-on, and a proper driver can use it. */
	#recover(): void {
		const expect = (condition: boolean, what: string): void => require(condition, 'no-recovery', () => what);
		const driver = this.#driver(0x1_0000);
		driver.write('Status', 0);
		this.#runDue();
		expect(
			driver.read('Status') === 0 && driver.read('InterruptStatus') === 0 && !this.#line,
			'registers reset',
		);
		for (let queue = 0; queue < this.balloon.queueLimit; queue++) {
			driver.write('QueueSel', queue);
			expect(driver.read('QueueReady') === 0, `queue ${queue} is not ready after a reset`);
		}
		const features = driver.deviceFeatures();
		expect(driver.negotiate(features), 'the features on offer are accepted');
		const numbers = balloonQueueNumbers(features, this.#setup.queueNumbering);
		const queues = new Map(
			Array.from(numbers, ([name, number]) => [
				name,
				driver.setupQueue(number, Math.min(4, this.#setup.queueSizeMax)),
			]),
		);
		driver.driverOk();
		const page = this.memory.pages - 2;
		const address = this.memory.base + page * PAGE_SIZE;
		for (const name of ['inflateq', 'reporting_vq'] as const) {
			const queue = queues.get(name);
			if (!queue) {
				continue;
			}
			this.memory.write32(address, CANARY);
			const buffer =
				name === 'inflateq'
					? readable(driver.allocWords([address / PAGE_SIZE]), 4)
					: writable(address, PAGE_SIZE);
			const head = queue.send(buffer);
			this.#runDue();
			const used = queue.takeUsed();
			expect(
				used.length === 1 && used[0]!.id === head && used[0]!.len === 0,
				`${name} answers with one element`,
			);
			expect(this.memory.frameForRead(page) === 0, `the page given up on ${name} is gone`);
			expect(this.#line && driver.acknowledgeInterrupt() === 1 && !this.#line, `${name} interrupts once`);
		}
	}
}

/** One case on two devices at a time: one whose every access is checked, and one that reads its rings in place. */
export class DevicePair {
	readonly #checked: DeviceWorld;
	readonly #inPlace: DeviceWorld;

	constructor(setup: DeviceSetup) {
		this.#checked = new DeviceWorld(setup, false);
		this.#inPlace = new DeviceWorld(setup, true);
	}

	/** What a script may look at to choose its next operation. */
	get view(): DeviceWorld {
		return this.#checked;
	}

	step(operation: DeviceOperation): void {
		this.#checked.step(operation);
		this.#inPlace.step(operation);
		if (this.#checked.checker.digest !== this.#inPlace.checker.digest) {
			throw new Violation('in-place-differs', `the two devices answered ${operation.op} differently`);
		}
	}

	/** The end of every case: the device recovers, both memories are the same, and all frames go back. */
	finish(): void {
		this.step({op: 'recover'});
		const [a, b] = [this.#checked.memory, this.#inPlace.memory].map((memory) =>
			memory.readBytes(memory.base, new Uint8Array(memory.sizeBytes)),
		);
		require(Buffer.compare(a!, b!) === 0, 'in-place-differs', () => 'guest memory differs at the end');
		this.#checked.close();
		this.#inPlace.close();
	}
}
