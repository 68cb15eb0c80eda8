/** Our balloon device under a hostile driver. */
import type {FuzzTarget} from './target.js';
import type {DeviceOperation, DeviceSetup} from './device-operations.js';
import {DeviceScript, randomSetup} from './device-script.js';
import {DevicePair} from './device-world.js';

export const DEVICE_TARGET: FuzzTarget<DeviceSetup, DeviceOperation> = {
	name: 'device',
	length: 1000,
	randomSetup,
	open: (setup) => new DevicePair(setup),
	openScripted(setup, random) {
		const pair = new DevicePair(setup);
		const script = new DeviceScript(random, setup, pair.view);
		return {
			next: () => script.next(),
			step: (operation) => pair.step(operation),
			finish: () => pair.finish(),
		};
	},
};
