/**
 * Where QEMU 7.2's device answers a legal driver otherwise than ours, by name. Everything else must be equal. What is
 * expected of QEMU is computed from what ours did, exactly: a difference that is known in one place is still an error in
 * another. docs/differential.md has the same table with bytes.
 */
import {VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_VRING} from '../virtio/spec.js';

/** By name: what QEMU does, and why ours does not. */
export const KNOWN_DIFFERENCES = {
	'config-change-sets-used-bit':
		'InterruptStatus has the bit of used buffers with every configuration change (virtio_notify_config writes 3); ' +
		'each bit has its own cause (4.2.2)',
	'first-completion-interrupts':
		'with EVENT_IDX the first completion of a queue after a reset interrupts wherever used_event is ' +
		'(signalled_used_valid is false); elsewhere a device should not (2.7.7.2)',
	'same-target-notifies':
		'a host that asks for the balloon that it has already asked for causes a configuration change notification; ' +
		'nothing changed (2.5)',
	'generation-waits-for-driver-ok':
		'ConfigGeneration does not move with a change before DRIVER_OK; a change must be seen (2.5)',
	'queue-numbers-by-offer':
		'reporting_vq is queue 3 also for a driver that did not accept STATS_VQ; ours is 2, as Linux counts (5.5.2 ' +
		'gives every queue a fixed number, which nobody has)',
	'tags-from-10-unknown':
		'statistics with the tags 10 to 15 of Linux 6.12 are dropped; ours knows them, and 5.5.6.3 leaves it to the device',
} as const;

export type KnownDifference = keyof typeof KNOWN_DIFFERENCES;

/** Tags that QEMU 7.2 has a name for: below VIRTIO_BALLOON_S_NR. */
const QEMU_TAGS = 10;
/** What QEMU shows for a tag that did not come. */
const NO_STAT = 2n ** 64n - 1n;

/** What the reference shows where the tested device shows something else, since the last renewal. */
export class KnownDifferences {
	/** How often each made a difference. */
	readonly seen: Record<KnownDifference, number>;
	readonly #apply: boolean;
	/** Bits of InterruptStatus that the reference has for a reason of its own. */
	#causes = 0;
	#generation = 0;

	/** `apply`: the reference is QEMU 7.2. Otherwise both must be equal in everything. */
	constructor(apply: boolean) {
		this.#apply = apply;
		const names = Object.keys(KNOWN_DIFFERENCES) as KnownDifference[];
		this.seen = Object.fromEntries(names.map((name) => [name, 0])) as Record<KnownDifference, number>;
	}

	/** Two devices whose generations count from now on. */
	renewed(): void {
		this.#causes = this.#generation = 0;
	}

	reset(): void {
		this.#causes = 0;
	}

	acknowledged(causes: number): void {
		this.#causes &= ~causes;
	}

	/** The host set num_pages. `status` is InterruptStatus of the tested device. */
	targetSet({changed, driverOk, status}: {changed: boolean; driverOk: boolean; status: number}): void {
		if (!this.#apply) {
			return;
		}
		if (changed && driverOk) {
			this.#cause('config-change-sets-used-bit', VIRTIO_MMIO_INT_VRING, status);
		} else if (changed) {
			this.#generation--;
			this.seen['generation-waits-for-driver-ok']++;
		} else if (driverOk) {
			this.#generation++;
			this.#causes |= VIRTIO_MMIO_INT_CONFIG | VIRTIO_MMIO_INT_VRING;
			this.seen['same-target-notifies']++;
		}
	}

	/** A queue returned its first buffer since the reset, with EVENT_IDX. */
	firstCompletion(status: number): void {
		if (this.#apply) {
			this.#cause('first-completion-interrupts', VIRTIO_MMIO_INT_VRING, status);
		}
	}

	/** The driver addressed a queue under different numbers. */
	numbersDiffer(): void {
		this.seen['queue-numbers-by-offer']++;
	}

	/** InterruptStatus of the reference. */
	interruptStatus(tested: number): number {
		return tested | this.#causes;
	}

	/** The reference's interrupt line. */
	interruptLevel(tested: boolean): boolean {
		return tested || this.#causes !== 0;
	}

	/** ConfigGeneration of the reference, both counted from the renewal. */
	generation(tested: number): number {
		return (tested + this.#generation) >>> 0;
	}

	/** The reference's statistics, in the order of the tags. */
	stats(tested: ReadonlyMap<number, bigint> | undefined): [number, bigint][] {
		const shown = sortedStats(tested);
		const known = this.#apply ? shown.filter(([tag]) => tag < QEMU_TAGS) : shown;
		this.seen['tags-from-10-unknown'] += known.length < shown.length ? 1 : 0;
		return known;
	}

	#cause(name: KnownDifference, bits: number, status: number): void {
		this.seen[name] += (bits & ~(status | this.#causes)) === 0 ? 0 : 1;
		this.#causes |= bits;
	}
}

/** A tag whose value is all ones counts as one that did not come: QEMU cannot show the difference. */
export function sortedStats(stats: ReadonlyMap<number, bigint> | undefined): [number, bigint][] {
	return Array.from(stats ?? [])
		.filter(([, value]) => value !== NO_STAT)
		.sort(([a], [b]) => a - b);
}
