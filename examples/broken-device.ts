/**
 * examples/own-device.ts with a bug that a faster host would hide: it hands pages to somebody who discards them in the
 * background, and returns the chain at once. The guest may have written the page again when it goes.
 *
 *     vmsim conformance --target dist/examples/broken-device.js --clause 5.5.6.2
 */
import type {DeviceParts, TestedDevice} from 'vmsim';
import {createDevice as ownDevice} from './own-device.js';

const BACKGROUND_NS = 10;

export function createDevice(parts: DeviceParts): TestedDevice {
	const {ram, clock} = parts;
	const discard = ram.discard.bind(ram);
	ram.discard = (base, sizeBytes) => {
		clock.after(BACKGROUND_NS, () => void discard(base, sizeBytes));
		return {freedBytes: 0, hugePagesSplit: 0};
	};
	return ownDevice(parts);
}
