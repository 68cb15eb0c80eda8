/** The bitmaps of all zones, and which bits a freed block sets. [RFC][Patch v12 1/2] (zone_reporting_init, bitmap_set_bit). */
import type {Zone} from '../mm/zone.js';
import {point, type KernelThread} from '../task.js';
import type {Request} from './bitmap-request.js';
import type {BitmapSwitches} from './bitmap-switches.js';
import {ZoneBitmap} from './zone-bitmap.js';

/** Memory that comes and goes; by default it does neither. */
export interface Hotplug {
	/** Is the section of this pfn online? */
	isOnline(pfn: number): boolean;
	/** First pfn behind the zone as it is now. */
	zoneEndPfn(zone: Zone): number;
}

export class ZoneBitmaps {
	readonly #order: number;
	readonly #switches: BitmapSwitches;
	readonly #hotplug: Hotplug | undefined;
	readonly #byZone = new Map<Zone, ZoneBitmap>();

	constructor(order: number, switches: BitmapSwitches, hotplug: Hotplug | undefined) {
		this.#order = order;
		this.#switches = switches;
		this.#hotplug = hotplug;
	}

	/** In the order of the zones; empty while there is no device. */
	get all(): readonly ZoneBitmap[] {
		return [...this.#byZone.values()];
	}

	of(zone: Zone): ZoneBitmap | undefined {
		return this.#byZone.get(zone);
	}

	/** Clear bitmaps for the zones as they are now. */
	create(zones: readonly Zone[]): void {
		const block = 2 ** this.#order;
		for (const zone of zones) {
			const base = this.#switches.alignBase ? Math.floor(zone.startPfn / block) * block : zone.startPfn;
			this.#byZone.set(zone, new ZoneBitmap(zone, this.#order, base, this.#endOf(zone)));
		}
	}

	/** Throws them away (zone_reporting_cleanup). */
	clear(): void {
		this.#byZone.clear();
	}

	/** Sets the bit of a freed block's head, or every bit that it covers, and tells the request of each. */
	*noteBlock(zone: Zone, pfn: number, order: number, request: Request): KernelThread {
		const bitmap = this.#byZone.get(zone)!;
		const bits = this.#switches.allBits ? 2 ** (order - this.#order) : 1;
		for (let nr = 0; nr < bits; nr++) {
			const newlySet = yield* this.#setBit(bitmap, pfn + nr * 2 ** this.#order);
			yield* request.note(bitmap, newlySet);
		}
	}

	/** bitmap_set_bit: true if the bit was not set. Memory that came after the bitmap has no bit. */
	*#setBit(bitmap: ZoneBitmap, pfn: number): KernelThread<boolean> {
		const bit = bitmap.bitOf(pfn);
		if (bit >= bitmap.nbits && this.#switches.growBitmap) {
			bitmap.grow(this.#endOf(bitmap.zone));
		}
		if (bit >= bitmap.nbits) {
			return false;
		}
		yield point(`set bit ${bitmap.zone.name}`);
		if (bitmap.testAndSet(bit)) {
			return false;
		}
		yield bitmap.freePages.before('inc');
		bitmap.freePages.inc();
		bitmap.stalled = false;
		return true;
	}

	#endOf(zone: Zone): number {
		return this.#hotplug?.zoneEndPfn(zone) ?? zone.endPfn;
	}
}
