/** What a caller of the allocator says about its request. Linux 6.12 include/linux/gfp_types.h and mm/internal.h. */

/** Bits of gfp flags, with the values of Linux 6.12. The migratetype is an argument of its own. */
export const __GFP_DMA = 0x1;
export const __GFP_DMA32 = 0x4;
/** May take half of the reserve below the min watermark. */
export const __GFP_HIGH = 0x20;
export const __GFP_DIRECT_RECLAIM = 0x400;
export const __GFP_KSWAPD_RECLAIM = 0x800;
export const __GFP_NOWARN = 0x2000;
export const __GFP_RETRY_MAYFAIL = 0x4000;
export const __GFP_NOFAIL = 0x8000;
export const __GFP_NORETRY = 0x1_0000;
/** May take everything: the caller is about to free memory. */
export const __GFP_MEMALLOC = 0x2_0000;
export const __GFP_NOMEMALLOC = 0x8_0000;

export const __GFP_RECLAIM = __GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM;
export const GFP_KERNEL = __GFP_RECLAIM;
export const GFP_ATOMIC = __GFP_HIGH | __GFP_KSWAPD_RECLAIM;
export const GFP_NOWAIT = __GFP_KSWAPD_RECLAIM | __GFP_NOWARN;
export const GFP_DMA32 = __GFP_DMA32;

/** Which watermark a request must leave standing; the low bits of the alloc flags. */
export const ALLOC_WMARK_MIN = 0;
export const ALLOC_WMARK_LOW = 1;
export const ALLOC_WMARK_HIGH = 2;
export const ALLOC_WMARK_MASK = 3;
export const ALLOC_NO_WATERMARKS = 0x4;
export const ALLOC_OOM = 0x8;
export const ALLOC_NON_BLOCK = 0x10;
/** Same bit as __GFP_HIGH. */
export const ALLOC_MIN_RESERVE = 0x20;
export const ALLOC_NOFRAGMENT = 0x100;
export const ALLOC_HIGHATOMIC = 0x200;
/** Same bit as __GFP_KSWAPD_RECLAIM. */
export const ALLOC_KSWAPD = 0x800;
/** Rights to the reserves below the min watermark. */
export const ALLOC_RESERVES = ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE | ALLOC_HIGHATOMIC | ALLOC_OOM;

/** The alloc flags of the slow path (gfp_to_alloc_flags). */
export function gfpToAllocFlags(gfp: number, order: number): number {
	let flags = ALLOC_WMARK_MIN | (gfp & (__GFP_HIGH | __GFP_KSWAPD_RECLAIM));
	if ((gfp & (__GFP_DIRECT_RECLAIM | __GFP_NOMEMALLOC)) === 0) {
		flags |= ALLOC_NON_BLOCK;
		if (order > 0 && (flags & ALLOC_MIN_RESERVE) !== 0) {
			flags |= ALLOC_HIGHATOMIC;
		}
	}
	return flags;
}
