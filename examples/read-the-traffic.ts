/**
 * Use 2: the virtqueue traffic of a run, byte for byte, without a file in between.
 *
 *     node dist/examples/read-the-traffic.js
 */
import {
	DEFAULT_MACHINE,
	MiB,
	Simulation,
	VIRTQ_DESC_F_WRITE,
	formatGpa,
	formatSeconds,
	formatSize,
} from 'vmsim';

const simulation = await Simulation.create({
	machine: {...DEFAULT_MACHINE, guestMemBytes: 128 * MiB},
	workload: {name: 'memhog', options: {sizeBytes: 16 * MiB}},
	durationNs: null,
});
const {trace, balloon} = simulation.machine;
let shown = 0;
trace.subscribe((event, timeNs) => {
	if (event.type !== 'avail' || balloon.queueName(event.queue) !== 'reporting_vq' || shown >= 1) {
		return;
	}
	shown++;
	console.log(
		`${formatSeconds(timeNs)}  reporting_vq head ${event.head}: ${event.descriptors.length} descriptors`,
	);
	event.descriptors.forEach(({addr, len, flags}, index) => {
		const bytes = Buffer.from(event.raw.subarray(index * 16, index * 16 + 16)).toString('hex');
		const kind = (flags & VIRTQ_DESC_F_WRITE) !== 0 ? 'writable' : 'readable';
		console.log(`  ${formatGpa(addr)} ${formatSize(len).padStart(6)} ${kind}  ${bytes}`);
	});
});
await simulation.run();
