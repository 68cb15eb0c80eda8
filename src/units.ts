/** Sizes in bytes, and the one place that turns a person's "4G" into a number. No imports: ground floor. */

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

/** The page size of guest, host and balloon alike (VIRTIO 1.4 5.5.6 fixes the balloon's unit at 4096). */
export const PAGE_SIZE = 4096;
/** A transparent huge page of the host and a pageblock of the guest: 2 MiB. */
export const HUGE_PAGE_SIZE = 2 * MiB;
export const PAGES_PER_HUGE_PAGE = HUGE_PAGE_SIZE / PAGE_SIZE;

export const NS_PER_US = 1_000;
export const NS_PER_MS = 1_000_000;
export const NS_PER_S = 1_000_000_000;

const UNITS: Readonly<Record<string, number>> = {
	'': MiB, // a bare number is MiB, as in QEMU's -m
	B: 1,
	K: KiB,
	KIB: KiB,
	M: MiB,
	MIB: MiB,
	G: GiB,
	GIB: GiB,
	T: TiB,
	TIB: TiB,
};

/** `1 batch`, `2 batches`: a count and what is counted. */
export function plural(count: number, one: string, many = `${one}s`): string {
	return `${count} ${count === 1 ? one : many}`;
}

/** What `parseSize` could not read, in words a person can act on. */
export class SizeSyntaxError extends Error {
	override name = 'SizeSyntaxError';
}

/**
 * Bytes in a size such as `4G`, `512MiB`, `64k` or `256` (a bare number is MiB).
 * Throws SizeSyntaxError; `KB`, `MB`, `GB`, `TB` are refused, because half of the field reads them as powers of ten.
 */
export function parseSize(text: string): number {
	const match = /^\s*([0-9]+)\s*([A-Za-z]*)\s*$/.exec(text);
	if (!match) {
		throw new SizeSyntaxError(`"${text}" is not a whole number with an optional suffix K, M, G or T`);
	}
	const [, digits, suffix] = match as unknown as [string, string, string];
	const unit = UNITS[suffix.toUpperCase()];
	if (unit === undefined) {
		const decimal = /^([KMGT])B$/i.exec(suffix);
		throw new SizeSyntaxError(
			decimal
				? `"${text}" is ambiguous: write ${digits}${decimal[1]!.toUpperCase()}iB for powers of 1024` +
						` (vmsim has no powers of 1000)`
				: `"${text}" has an unknown unit "${suffix}": use K, M, G, T or KiB, MiB, GiB, TiB`,
		);
	}
	const bytes = Number(digits) * unit;
	if (!Number.isSafeInteger(bytes)) {
		throw new SizeSyntaxError(`"${text}" is too large`);
	}
	return bytes;
}

/** A size for people: `4 GiB`, `3.5 GiB`, `2 MiB`, `512 B`; at most one decimal. */
export function formatSize(bytes: number): string {
	const sign = bytes < 0 ? '-' : '';
	let value = Math.abs(bytes);
	for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
		if (value < 1024) {
			return `${sign}${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
		}
		value /= 1024;
	}
	return `${sign}${Number.isInteger(value) ? value : value.toFixed(1)} TiB`;
}

/** Virtual time for people: seconds with milliseconds, `12.034 s`. */
export function formatSeconds(ns: number): string {
	return `${(ns / NS_PER_S).toFixed(3)} s`;
}
