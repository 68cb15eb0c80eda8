/**
 * Events of a recorded trace per second: parsing alone, and the whole exact replay with its kernel, its page reporting
 * and the contents of every page, beside each other.
 *
 *     npm run bench:replay -- [TRACE KPAGEFLAGS-START ZONEINFO]
 */
import {DEFAULT_MACHINE} from '../src/config.js';
import {prepareReplay, type ReplayFiles} from '../src/replay-setup.js';
import {Simulation} from '../src/simulation.js';
import {readBatches} from '../src/traces/feed.js';
import {median} from './measure.js';

const ROUNDS = 5;
const [trace, kpageflagsStart, zoneinfo] = process.argv.slice(2);
const files: ReplayFiles = {
	mode: 'exact',
	...(trace === undefined ? {} : {trace}),
	...(kpageflagsStart === undefined ? {} : {kpageflagsStart}),
	...(zoneinfo === undefined ? {} : {zoneinfo}),
};

const parsed: number[] = [];
const replayed: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
	const replay = await prepareReplay(files);
	let start = process.cpuUsage();
	let events = 0;
	for await (const batch of readBatches('--trace', replay.trace)) {
		events += batch.count;
	}
	let spent = process.cpuUsage(start);
	parsed.push(events / (spent.user + spent.system));
	const simulation = await Simulation.create({
		machine: DEFAULT_MACHINE,
		workload: {name: 'replay', options: {}},
		durationNs: null,
		replay,
	});
	start = process.cpuUsage();
	await simulation.run();
	spent = process.cpuUsage(start);
	replayed.push(events / (spent.user + spent.system));
	console.log(
		`${events} events: parsed at ${parsed.at(-1)!.toFixed(2)} M/s, replayed at ${replayed.at(-1)!.toFixed(2)} M/s of processor time`,
	);
}
console.log(
	`median: parsed ${median(parsed).toFixed(2)} M/s, replayed ${median(replayed).toFixed(2)} M/s (aim 1)`,
);
