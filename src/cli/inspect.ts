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
import {captureArgument, readInput} from './capture-input.js';
import {FdSink, LineOutput, untilBrokenPipe} from './fd-output.js';
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
	if (args.stats && args.rings) {
		throw new UsageError('--stats and --rings are two questions; ask one at a time');
	}
	const filter = args.filter === undefined ? undefined : compileFilter(args.filter);
	const output = new LineOutput(new FdSink(1));
	const source = args.stats
		? statistics(args, filter, output)
		: args.rings
			? rings(args, filter, output)
			: packets(args, filter, output);
	try {
		await readInput(captureArgument(args.file), source.reader, {
			follow: args.follow,
			onPause: () => output.flush(),
		});
	} finally {
		// Also for a file that breaks off: what was read before counts.
		source.finish();
		output.flush();
	}
	complain(source);
}

/** Says on stderr what was left out; records that cannot be read make the exit code 2. */
function complain({malformed, firstMalformedOffset, reader}: PacketSource): void {
	if (reader.foreignPackets > 0) {
		console.error(`vmsim: skipped ${reader.foreignPackets} packets of link type ${reader.foreignLinkType}`);
	}
	if (malformed > 0) {
		throw new UsageError(
			`${malformed} malformed record${malformed === 1 ? '' : 's'}, the first at byte offset ${firstMalformedOffset}`,
		);
	}
}

function queueFilter(text: string | undefined): string | undefined {
	return text === undefined
		? undefined
		: /^\d+$/.test(text)
			? `vmsim.queue == ${readInteger('--queue', text, 0, 65_534)}`
			: `vmsim.queue.role == ${JSON.stringify(text)}`;
}

function filters(args: InspectArguments, filter: Filter | undefined): Filter[] {
	const queue = queueFilter(args.queue);
	return [...(queue === undefined ? [] : [compileFilter(queue)]), ...(filter ? [filter] : [])];
}

function packets(args: InspectArguments, filter: Filter | undefined, output: LineOutput): PacketSource {
	const limit = args.count === undefined ? Infinity : readInteger('--count', args.count, 1, 2 ** 53);
	const fields = args.fields === undefined ? undefined : args.fields.split(',').map(namedField);
	if (fields && (args.verbose || args.hex)) {
		throw new UsageError('--fields prints values only; leave out -V and -x');
	}
	let printed = 0;
	const printer = packetPrinter(
		{format: args.format, verbose: args.verbose, hex: args.hex, ...(fields && {fields})},
		(line) => output.line(line),
	);
	return new PacketSource({
		filters: filters(args, filter),
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

function statistics(args: InspectArguments, filter: Filter | undefined, output: LineOutput): PacketSource {
	const stats = new CaptureStats();
	const source = new PacketSource({
		filters: filters(args, filter),
		onPacket(packet) {
			if (packet.problem() === undefined) {
				stats.observe(decodeEvent(packet), packet.timeNs, packetQueue(packet));
			}
		},
		onFinish() {
			stats.malformed = source.malformed;
			stats.finish();
			if (args.format === 'csv') {
				throw new UsageError('--stats has no csv; use --format text or json');
			}
			output.lines(
				args.format === 'text'
					? statsText(stats)
					: [JSON.stringify(statsJson(stats), null, args.format === 'json' ? 2 : 0)],
			);
		},
	});
	return source;
}

function rings(args: InspectArguments, filter: Filter | undefined, output: LineOutput): PacketSource {
	const tracker = new RingTracker();
	const {number = Infinity, timeNs = Infinity} = args.at === undefined ? {} : moment(args.at);
	const queue = queueFilter(args.queue);
	let last = 0;
	return new PacketSource({
		filters: filters({...args, queue: undefined} as never, filter),
		onPacket(packet) {
			if (packet.number > number || packet.timeNs > timeNs) {
				return false;
			}
			last = packet.number;
			if (packet.problem() === undefined) {
				tracker.observe(decodeEvent(packet), packet.timeNs, packet.number, packetQueue(packet));
			}
			return true;
		},
		onFinish() {
			const wanted = [...tracker.rings.values()].filter(
				(ring) => queue === undefined || args.queue === ring.label || args.queue === String(ring.queue),
			);
			output.line(`after packet ${last}`);
			wanted.forEach((ring) => output.lines(['', ...drawRingState(ring)]));
		},
	});
}

/** A whole number is a packet, anything with a unit or a point is a time. */
function moment(text: string): {number?: number; timeNs?: number} {
	return /^\d+$/.test(text)
		? {number: readInteger('--at', text, 1, 2 ** 53)}
		: {timeNs: readDuration('--at', text, 0, 2 ** 53)};
}
