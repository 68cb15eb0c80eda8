/** `vmsim export`: a capture in another tool's format. */
import {closeSync, renameSync, rmSync} from 'node:fs';
import type {CommandModule} from 'yargs';
import {UsageError} from '../errors.js';
import {decodeEvent} from '../inspect/decode.js';
import {PacketSource} from '../inspect/packet-source.js';
import {PerfettoExport} from '../inspect/perfetto/export.js';
import {packetQueue} from '../inspect/views/line.js';
import {captureArgument, readInput} from './capture-input.js';
import {FdSink, createOutput, refuseOverwrite, untilBrokenPipe} from './fd-output.js';

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
	const toStdout = captureArgument(output) === '-';
	const input = captureArgument(file);
	// What stands at the output now is replaced when the export is whole, and not before.
	const part = `${output}.part`;
	refuseOverwrite('--output', output, input);
	const fd = toStdout ? STDOUT : createOutput('--output', part);
	try {
		const trace = new PerfettoExport(new FdSink(fd));
		const source = new PacketSource({
			onPacket(packet) {
				if (packet.problem() === undefined) {
					trace.observe(decodeEvent(packet), packet.timeNs, packet.number, packetQueue(packet));
				}
			},
			onFinish: () => trace.finish(),
		});
		try {
			await readInput(input, source.reader);
		} finally {
			source.finish();
		}
	} catch (error) {
		if (!toStdout) {
			closeSync(fd);
			rmSync(part);
		}
		throw error;
	}
	if (!toStdout) {
		closeSync(fd);
		renameSync(part, output);
	}
}
