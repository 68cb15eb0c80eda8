/** A hart on flat RAM with whatever devices a test attaches, and one interrupt line per device without a PLIC. */
import {Bus} from '../../src/board/bus.js';
import {Clock} from '../../src/board/clock.js';
import {RAM_BASE, TIMEBASE_HZ} from '../../src/board/memory-map.js';
import {DirectHart} from '../../src/cpu-lite/direct-hart.js';
import {Scheduler} from '../../src/guest-kernel/scheduler.js';
import {MiB} from '../../src/units.js';
import {FlatRam} from './flat-ram.js';

export interface BenchMachine {
	ram: FlatRam;
	bus: Bus;
	clock: Clock;
	hart: DirectHart;
	scheduler: Scheduler;
	/** What the guest wrote to the console. */
	console: string[];
}

export function benchMachine({ramBytes = 4 * MiB} = {}): BenchMachine {
	const ram = new FlatRam(RAM_BASE, ramBytes);
	const bus = new Bus();
	const clock = new Clock();
	const console: string[] = [];
	const hart = new DirectHart({
		hartId: 0,
		ram,
		bus,
		clock,
		timebaseHz: TIMEBASE_HZ,
		console: (text) => console.push(text),
		onReset() {},
	});
	return {ram, bus, clock, hart, scheduler: new Scheduler(hart), console};
}
