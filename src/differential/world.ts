/**
 * One sequence on two devices. After every action all that a driver or a host can see is compared: guest memory byte for
 * byte, rings and all; what of it the host keeps; Status, InterruptStatus, the line, the configuration space and its
 * generation; and the statistics, where some have arrived.
 */
import {require} from '../fuzz/violation.js';
import type {FuzzWorld} from '../fuzz/target.js';
import {PAGE_SIZE} from '../units.js';
import {VIRTIO_BALLOON_CONFIG} from '../virtio/balloon/spec.js';
import type {Action, SequenceSetup} from './action.js';
import {sortedStats, type KnownDifferences} from './known-differences.js';
import {LegalDriver} from './legal-driver.js';
import {areaAt} from './queue-place.js';
import type {Side} from './side.js';
import type {Tally} from './tally.js';

const SHOWN_BYTES = 16;

export interface DifferentialPair {
	/** The device that is right, but for the known differences. */
	readonly reference: Side;
	readonly tested: Side;
	readonly known: KnownDifferences;
	readonly played: Tally;
}

export class DifferentialWorld implements FuzzWorld<Action> {
	readonly driver: LegalDriver;
	readonly #reference: Side;
	readonly #tested: Side;
	readonly #known: KnownDifferences;
	readonly #bytes: readonly [reference: Buffer, tested: Buffer];

	/** Renews both sides, and fills both memories alike. */
	constructor({reference, tested, known, played}: DifferentialPair, {fill}: SequenceSetup) {
		reference.renew();
		tested.renew();
		known.renewed();
		this.#reference = reference;
		this.#tested = tested;
		this.#known = known;
		const {base, sizeBytes} = reference.ram;
		this.#bytes = [Buffer.alloc(sizeBytes), Buffer.alloc(sizeBytes)];
		this.driver = new LegalDriver(reference, tested, known, played);
		const image = this.driver.plan.image(reference.ram.readBytes(base, new Uint8Array(PAGE_SIZE)), fill);
		reference.ram.writeBytes(base, image);
		tested.ram.writeBytes(base, image);
	}

	step(action: Action): void {
		this.driver.play(action);
		this.#compareMemory();
		this.#compareRegisters();
		if (action.op === 'stats' || action.op === 'ask-stats' || action.op === 'driver-ok') {
			this.#compareStats();
		}
	}

	finish(): void {
		this.#compareStats();
	}

	#compareMemory(): void {
		const [reference, tested] = this.#bytes;
		const {base} = this.#tested.ram;
		this.#reference.ram.readBytes(base, reference);
		this.#tested.ram.readBytes(base, tested);
		if (!reference.equals(tested)) {
			const offset = reference.findIndex((byte, at) => byte !== tested[at]);
			this.#reportMemory(base + offset);
		}
		const kept = this.#reference.backedBytes;
		const testedKept = this.#tested.backedBytes;
		require(kept === testedKept, 'host-memory-differs', () =>
			`of guest memory ${this.#reference.name} keeps ${kept} B, ${this.#tested.name} ${testedKept} B`);
	}

	/** Throws what is known of the first byte that differs. */
	#reportMemory(address: number): void {
		const {base} = this.#tested.ram;
		const {plan, queues} = this.driver;
		const hit = Array.from(queues, ([name, {ring}]) => ({name, ...areaAt(ring, address)})).find(
			({area}) => area !== undefined,
		);
		const from = address - (address % 4) - base;
		const [shown, testedShown] = this.#bytes.map((bytes) => bytes.toString('hex', from, from + SHOWN_BYTES));
		const where = hit
			? `${hit.name} ${hit.area} + ${hit.offset}`
			: address >= plan.heapEnd
				? `playground page ${Math.floor((address - plan.heapEnd) / PAGE_SIZE)}`
				: 'messages';
		const code = hit ? (hit.area === 'used' ? 'used-ring-differs' : 'ring-differs') : 'memory-differs';
		require(false, code, () =>
			`${where}, from 0x${(base + from).toString(16)}: ` +
			`${this.#reference.name} ${shown}, ${this.#tested.name} ${testedShown}`);
	}

	#compareRegisters(): void {
		const {registers} = this.driver;
		registers.read('Status');
		registers.read('InterruptStatus');
		const level = this.#reference.interruptLevel;
		const testedLevel = this.#tested.interruptLevel;
		require(level === this.#known.interruptLevel(testedLevel), 'interrupt-differs', () =>
			`the interrupt line: ${this.#reference.name} ${level}, ${this.#tested.name} ${testedLevel}`);
		registers.read('ConfigGeneration');
		for (const {at} of Object.values(VIRTIO_BALLOON_CONFIG)) {
			registers.readConfig(at);
		}
	}

	#compareStats(): void {
		if (!this.driver.sentStats) {
			return;
		}
		const shown = list(sortedStats(this.#reference.stats()));
		const expected = list(this.#known.stats(this.#tested.stats()));
		require(shown === expected, 'statistics-differ', () =>
			`${this.#reference.name} shows ${shown}; expected, from ${this.#tested.name}: ${expected}`);
	}
}

function list(stats: [number, bigint][]): string {
	return stats.map(([tag, value]) => `${tag}=${value}`).join(' ');
}
