/** Which zones a request may use, and in which order. Linux 6.12 gfp_zone, build_zonelists and alloc_flags_nofragment. */
import {__GFP_DMA, __GFP_DMA32, ALLOC_NOFRAGMENT} from './gfp.js';
import type {Zone} from './zone.js';

/** Zones for one kind of request, in the order in which they are tried. */
export interface Zonelist {
	/** Index of the highest zone that the request may use: what zones below keep in reserve depends on it. */
	readonly highestZoneidx: number;
	/** Populated zones, high to low. */
	readonly zones: readonly Zone[];
	/** ALLOC_NOFRAGMENT where a lower zone is better than a pageblock of another type, else 0. */
	readonly noFragment: number;
	/** Not for a low zone: the OOM killer is an answer. */
	readonly mayOom: boolean;
}

/** The bits of gfp flags that name a zone. */
export const GFP_ZONEMASK = __GFP_DMA | __GFP_DMA32;

/** The lists for each combination of zone bits of gfp flags. */
export function makeZonelists(nodeZones: readonly Zone[]): Zonelist[] {
	const indexOf = (name: string) =>
		Math.max(
			0, // a kernel without ZONE_DMA: its lowest zone serves
			nodeZones.findIndex((zone) => zone.name === name),
		);
	return Array.from({length: GFP_ZONEMASK + 1}, (_, gfp) => {
		const name = (gfp & __GFP_DMA) !== 0 ? 'DMA' : (gfp & __GFP_DMA32) !== 0 ? 'DMA32' : 'Normal';
		const highestZoneidx = indexOf(name);
		const zones = nodeZones.filter((zone) => zone.index <= highestZoneidx && zone.presentPages > 0).reverse();
		return {
			highestZoneidx,
			zones,
			noFragment: zones[0]?.name === 'Normal' ? ALLOC_NOFRAGMENT : 0,
			mayOom: highestZoneidx >= indexOf('Normal'),
		};
	});
}
