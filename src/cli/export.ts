/** `vmsim export`: a capture in another tool's format. */
import type {CommandModule} from 'yargs';
import {UsageError} from '../errors.js';
import {decodeEvent} from '../inspect/decode.js';
import {PacketSource} from '../inspect/packet-source.js';
import {PerfettoExport} from '../inspect/perfetto/export.js';
import type {ByteSink} from '../inspect/pcapng-writer.js';
import {packetQueue} from '../inspect/views/line.js';
import {captureArgument, readInput} from './capture-input.js';
import {FdSink, untilBrokenPipe} from './fd-output.js';
import {refuseOverwrite, withOutput} from './output-file.js';

const STDOUT = 1;

interface ExportArguments {
	file: string;
	perfetto: boolean;
	output: string;
}

export const command: CommandModule<object, ExportArguments> = {
	command: 'export <file>',
	describe: 'Write a capture in another format',
	builder: (yargs) =>
		yargs
			.positional('file', {
				type: 'string',
				demandOption: true,
				describe: 'A capture, or - for standard input',
			})
			.option('perfetto', {type: 'boolean', default: false, describe: 'A trace for https://ui.perfetto.dev'})
			.option('output', {
				alias: 'o',
				type: 'string',
				demandOption: true,
				describe: 'The file to write, or -',
			}) as never,
	handler: (args) => untilBrokenPipe(() => exportCapture(args)),
};

async function exportCapture({file, perfetto, output}: ExportArguments): Promise<void> {
	if (!perfetto) {
		throw new UsageError('export needs a format; there is --perfetto');
	}
	const input = captureArgument(file);
	refuseOverwrite('--output', output, input);
	if (captureArgument(output) === '-') {
		await exportTo(new FdSink(STDOUT), input);
	} else {
		await withOutput('--output', output, (sink) => exportTo(sink, input));
	}
}

async function exportTo(sink: ByteSink, input: string): Promise<void> {
	const trace = new PerfettoExport(sink);
	const source = new PacketSource({
		onPacket(packet) {
			if (packet.problem() === undefined) {
				trace.observe(decodeEvent(packet), packet.timeNs, packet.number, packetQueue(packet));
			}
		},
	});
	await readInput(input, source.reader);
	trace.finish();
}
