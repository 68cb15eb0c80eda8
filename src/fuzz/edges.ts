/** Numbers at which something changes, and a choice among things. */
import type {Random} from '../guest-kernel/random.js';

export const EDGES: readonly number[] = [
	0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 64, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 4097, 0x7fff,
	0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_f000, 0xffff_ffff,
];

export function pick<T>(random: Random, from: readonly T[]): T {
	return from[random.below(from.length)]!;
}
