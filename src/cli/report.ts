/** `vmsim report`: a capture as one page, with pictures and without a network. */
import {basename} from 'node:path';
import type {CommandModule} from 'yargs';
import {decodeEvent} from '../inspect/decode.js';
import {PacketSource} from '../inspect/packet-source.js';
import {reportHtml} from '../inspect/report/html.js';
import {ReportCollector} from '../inspect/report/model.js';
import {packetQueue} from '../inspect/views/line.js';
import {captureArgument, readInput} from './capture-input.js';
import {refuseOverwrite, withOutput} from './output-file.js';

interface ReportArguments {
	file: string;
	output: string;
	title?: string;
}

export const command: CommandModule<object, ReportArguments> = {
	command: 'report <file>',
	describe: 'Draw a capture as one self-contained page',
	builder: (yargs) =>
		yargs
			.positional('file', {
				type: 'string',
				demandOption: true,
				describe: 'A capture, or - for standard input',
			})
			.option('output', {alias: 'o', type: 'string', demandOption: true, describe: 'The page to write'})
			.option('title', {type: 'string', describe: 'Its title; by default the name of the capture'}) as never,
	handler: report,
};

async function report({file, output, title}: ReportArguments): Promise<void> {
	const collector = new ReportCollector();
	const source = new PacketSource({
		onPacket(packet) {
			if (packet.problem() === undefined) {
				collector.observe(decodeEvent(packet), packet.timeNs, packet.number, packetQueue(packet));
			}
		},
	});
	const path = captureArgument(file);
	refuseOverwrite('--output', output, path);
	await withOutput('--output', output, async (page) => {
		await readInput(path, source.reader);
		const name = path === '-' ? 'standard input' : basename(path);
		page.write(Buffer.from(reportHtml(collector.finish(title ?? name)), 'utf8'));
	});
}
