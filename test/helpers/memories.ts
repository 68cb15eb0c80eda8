/**
 * The device reads rings in place where it can, and through the memory's calls where it cannot. Tests of the device run
 * on both kinds of memory.
 */
import test, {type ExecutionContext} from 'ava';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {HostMemory} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import type {GuestRam} from '../../src/host/ram.js';
import {MiB} from '../../src/units.js';
import {FlatRam} from './flat-ram.js';

export type MakeRam = (sizeBytes?: number) => GuestRam;

export const MEMORIES = {
	'in place': (sizeBytes = 2 * MiB): GuestRam =>
		new GuestMemory({base: RAM_BASE, sizeBytes, host: new HostMemory({bankBytes: 2 * sizeBytes})}),
	'by calls': (sizeBytes = 2 * MiB): GuestRam => new FlatRam(RAM_BASE, sizeBytes),
};

/** A test on both kinds of memory. */
export function testOnBothMemories(
	title: string,
	run: (t: ExecutionContext, makeRam: MakeRam) => void,
): void {
	for (const [kind, makeRam] of Object.entries(MEMORIES)) {
		test(`${title} (${kind})`, (t) => run(t, makeRam));
	}
}
