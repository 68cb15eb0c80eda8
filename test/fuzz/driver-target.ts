/** Our balloon driver under a hostile device. */
import type {FuzzTarget} from '../../src/fuzz/target.js';
import type {DriverOperation, DriverSetup} from './driver-operations.js';
import {DriverScript, randomDriverSetup} from './driver-script.js';
import {DriverWorld} from './driver-world.js';

export const DRIVER_TARGET: FuzzTarget<DriverSetup, DriverOperation> = {
	name: 'driver',
	length: 100,
	randomSetup: randomDriverSetup,
	open: (setup) => new DriverWorld(setup),
	openScripted(setup, random) {
		const world = new DriverWorld(setup);
		const script = new DriverScript(random, world.bench.device.queues);
		return {
			next: () => script.next(),
			step: (operation) => world.step(operation),
			finish: () => world.finish(),
		};
	},
};
