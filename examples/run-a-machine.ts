/**
 * Use 1: a whole run. A 256 MiB guest takes half of its memory, gives it back, and free page reporting tells the host.
 *
 *     node dist/examples/run-a-machine.js
 */
import {DEFAULT_MACHINE, MiB, Simulation, formatSeconds, formatSize} from 'vmsim';

const simulation = await Simulation.create({
	machine: {...DEFAULT_MACHINE, guestMemBytes: 256 * MiB},
	workload: {name: 'memhog', options: {sizeBytes: 128 * MiB}},
	durationNs: null,
});
simulation.machine.trace.subscribe((event, timeNs) => {
	if (event.type === 'report-return') {
		console.log(`${formatSeconds(timeNs)}  ${event.zone}: ${event.blocks.length} blocks reported`);
	}
});
await simulation.run();
const {reporting, host_model: host} = simulation.result().deterministic;
console.log(`${reporting.batches} batches, ${formatSize(reporting.reported_bytes)} reported`);
console.log(
	`frames of the host: ${host.frames_before} before, ${host.frames_peak} at the peak, ${host.frames_end} at the end`,
);
