/** `vmsim inspect`: the virtqueue traffic of a capture, byte for byte. */
import type {CommandModule} from 'yargs';
import {UsageError} from '../errors.js';
import {fieldAccess, similarNames, type FieldAccess} from '../inspect/access.js';
import {decodeEvent} from '../inspect/decode.js';
import {compileFilter, type Filter} from '../inspect/filter/compile.js';
import {PacketSource} from '../inspect/packet-source.js';
import {RingTracker} from '../inspect/rings.js';
import {CaptureStats} from '../inspect/stats.js';
import {packetQueue} from '../inspect/views/line.js';
import {PACKET_FORMATS, packetPrinter, type PacketFormat} from '../inspect/views/printer.js';
import {drawRingState} from '../inspect/views/ring-picture.js';
import {statsJson, statsText} from '../inspect/views/stats-table.js';
import {captureArgument, readInput, refuseMalformed} from './capture-input.js';
import {FdSink, LineOutput, untilBrokenPipe} from './fd-output.js';
import {QueueFilter} from './queue-option.js';
import {readDuration, readInteger} from './values.js';

interface InspectArguments {
	file: string;
	filter?: string;
	queue?: string;
	verbose: boolean;
	hex: boolean;
	count?: string;
	follow: boolean;
	format: PacketFormat;
	fields?: string;
	stats: boolean;
	rings: boolean;
	at?: string;
}

export const command: CommandModule<object, InspectArguments> = {
	command: 'inspect <file>',
	describe: 'Read the virtqueue traffic of a capture',
	builder: (yargs) =>
		yargs
			.positional('file', {
				type: 'string',
				demandOption: true,
				describe: 'A capture, or - for standard input',
			})
			.option('filter', {
				alias: 'Y',
				type: 'string',
				describe: "Only packets that match, in Wireshark's syntax",
			})
			.option('queue', {type: 'string', describe: 'Only packets of this queue: its number or its name'})
			.option('verbose', {
				alias: 'V',
				type: 'boolean',
				default: false,
				describe: 'Every field, down to the bits',
			})
			.option('hex', {
				alias: 'x',
				type: 'boolean',
				default: false,
				describe: 'The bytes, with the fields marked',
			})
			.option('count', {alias: 'c', type: 'string', describe: 'Stop after so many packets'})
			.option('follow', {alias: 'f', type: 'boolean', default: false, describe: 'Wait for more at the end'})
			.option('format', {
				choices: PACKET_FORMATS,
				default: 'text' as const,
				describe: 'How to write packets or statistics',
			})
			.option('fields', {alias: 'e', type: 'string', describe: 'Only these fields, separated by commas'})
			.option('stats', {type: 'boolean', default: false, describe: 'What the capture adds up to, per queue'})
			.option('rings', {type: 'boolean', default: false, describe: 'The rings as they stood at a moment'})
			.option('at', {
				type: 'string',
				describe: 'The moment for --rings: a packet number, or a time such as 2.5s',
			})
			.example('vmsim inspect run.pcapng -Y \'vmsim.event == "avail" && vmsim.desc.len > 4096\'', '')
			.example('vmsim inspect run.pcapng --queue reporting_vq -V -c 1', '')
			.example('vmsim inspect run.pcapng --fields frame.number,vmsim.head,vmsim.latency_ns', '')
			.example('vmsim inspect --rings run.pcapng --at 12.5s', '')
			.example('vmsim run --capture - | vmsim inspect -', '') as never,
	handler: (args) => untilBrokenPipe(() => inspect(args)),
};

async function inspect(args: InspectArguments): Promise<void> {
	refuseIgnored(args);
	const queue = args.queue === undefined ? undefined : new QueueFilter(args.queue);
	const filters = args.filter === undefined ? [] : [compileFilter(args.filter)];
	const ofQueue = queue === undefined ? filters : [queue, ...filters];
	const path = captureArgument(args.file);
	const output = new LineOutput(new FdSink(1));
	const source = args.stats
		? statistics(args, ofQueue, output)
		: args.rings
			? rings(args, filters, queue, output)
			: packets(args, ofQueue, output);
	try {
		await readInput(path, source.reader, {
			follow: args.follow,
			onPause: () => output.flush(),
		});
	} finally {
		// Also for a file that breaks off: what was read before counts.
		source.finish();
		output.flush();
	}
	sayForeign(source);
	refuseMalformed(path, source);
	if (queue?.absence !== undefined) {
		console.error(`vmsim: ${queue.absence}`);
	}
}

/** Flags that have no say in the question that was asked: silence would let a person believe that they had. */
function refuseIgnored(args: InspectArguments): void {
	if (args.stats && args.rings) {
		throw new UsageError('--stats and --rings are two questions; ask one at a time');
	}
	if (args.at !== undefined && !args.rings) {
		throw new UsageError('--at belongs to --rings');
	}
	const ofPackets = [
		...(args.verbose ? ['-V'] : []),
		...(args.hex ? ['-x'] : []),
		...(args.fields === undefined ? [] : ['--fields']),
	];
	const notOfTotals = [...ofPackets, ...(args.count === undefined ? [] : ['--count'])];
	if (args.stats) {
		refuse('--stats', [
			...notOfTotals,
			...(args.follow ? ['--follow'] : []),
			...(args.format === 'csv' ? ['--format csv'] : []),
		]);
	} else if (args.rings) {
		refuse('--rings', [...notOfTotals, ...(args.format === 'text' ? [] : [`--format ${args.format}`])]);
	} else if (args.format !== 'text') {
		refuse(
			`--format ${args.format}`,
			ofPackets.filter((flag) => flag !== '--fields'),
		);
	} else if (args.fields !== undefined) {
		refuse(
			'--fields',
			ofPackets.filter((flag) => flag !== '--fields'),
		);
	}
}

function refuse(question: string, [flag]: readonly string[]): void {
	if (flag !== undefined) {
		throw new UsageError(`${flag} has no say with ${question}; leave one of them out`);
	}
}

/** Says on stderr what was left out. */
function sayForeign({reader}: PacketSource): void {
	if (reader.foreignPackets > 0) {
		console.error(`vmsim: skipped ${reader.foreignPackets} packets of link type ${reader.foreignLinkType}`);
	}
}

function packets(args: InspectArguments, filters: readonly Filter[], output: LineOutput): PacketSource {
	const limit = args.count === undefined ? Infinity : readInteger('--count', args.count, 1, 2 ** 53);
	const fields = args.fields === undefined ? undefined : args.fields.split(',').map(namedField);
	let printed = 0;
	const printer = packetPrinter(
		{format: args.format, verbose: args.verbose, hex: args.hex, ...(fields && {fields})},
		(line) => output.line(line),
	);
	return new PacketSource({
		filters,
		onPacket(packet, context, comments) {
			printer.packet(packet, context, comments);
			return ++printed < limit;
		},
		onFinish: () => printer.finish(),
	});
}

function namedField(name: string): FieldAccess {
	const access = fieldAccess(name.trim());
	if (!access) {
		const similar = similarNames(name.trim()).join(', ');
		throw new UsageError(`--fields: ${JSON.stringify(name)} is not a field; similar: ${similar}`);
	}
	return access;
}

function statistics(args: InspectArguments, filters: readonly Filter[], output: LineOutput): PacketSource {
	const stats = new CaptureStats();
	const source = new PacketSource({
		filters,
		onPacket(packet) {
			if (packet.problem() === undefined) {
				stats.observe(decodeEvent(packet), packet.timeNs, packetQueue(packet));
			}
		},
		onFinish() {
			stats.malformed = source.malformed;
			stats.finish();
			output.lines(
				args.format === 'text'
					? statsText(stats)
					: [JSON.stringify(statsJson(stats), null, args.format === 'json' ? 2 : 0)],
			);
		},
	});
	return source;
}

/** A reset belongs to no queue and clears them all: the queue is chosen behind the tracker. */
function rings(
	args: InspectArguments,
	filters: readonly Filter[],
	queue: QueueFilter | undefined,
	output: LineOutput,
): PacketSource {
	const tracker = new RingTracker();
	const {number = Infinity, timeNs = Infinity} = args.at === undefined ? {} : moment(args.at);
	let last = 0;
	const source = new PacketSource({
		filters,
		onPacket(packet, context) {
			if (packet.number > number || packet.timeNs > timeNs) {
				return false;
			}
			last = packet.number;
			queue?.test(packet, context);
			if (packet.problem() === undefined) {
				tracker.observe(decodeEvent(packet), packet.timeNs, packet.number, packetQueue(packet));
			}
			return true;
		},
		onFinish() {
			if (number !== Infinity && number > source.lastNumber) {
				throw new UsageError(`--at ${number}: the capture ends with packet ${source.lastNumber}`);
			}
			output.line(`after packet ${last}`);
			for (const ring of tracker.rings.values()) {
				if (queue === undefined || queue.isMeant(ring)) {
					output.lines(['', ...drawRingState(ring)]);
				}
			}
		},
	});
	return source;
}

/** A whole number is a packet, anything with a unit or a point is a time. */
function moment(text: string): {number?: number; timeNs?: number} {
	if (/^\d+$/.test(text)) {
		return {number: readInteger('--at', text, 1, 2 ** 53)};
	}
	if (!/^[\d.]/.test(text)) {
		throw new UsageError(
			`--at ${JSON.stringify(text)} is neither the number of a packet nor a time such as 2.5s`,
		);
	}
	return {timeNs: readDuration('--at', text, 0, 2 ** 53)};
}
