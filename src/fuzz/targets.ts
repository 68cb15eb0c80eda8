/** Everything that can be fuzzed, by the name on the command line. */
import {DEVICE_TARGET} from './device-target.js';
import type {FuzzTarget} from './target.js';

export const FUZZ_TARGETS: Readonly<Record<string, FuzzTarget<unknown, unknown>>> = {
	device: DEVICE_TARGET as FuzzTarget<unknown, unknown>,
};
