/** `vmsim wireshark`: puts the dissector where Wireshark finds it, or says where it is. */
import {copyFileSync, mkdirSync} from 'node:fs';
import {homedir} from 'node:os';
import {join} from 'node:path';
import type {CommandModule} from 'yargs';
import {UsageError} from '../errors.js';
import {packageFile} from '../inspect/package-file.js';

const DISSECTOR = 'wireshark/vmsim.lua';

interface WiresharkArguments {
	install: boolean;
	path: boolean;
}

export const command: CommandModule<object, WiresharkArguments> = {
	command: 'wireshark',
	describe: 'Teach Wireshark to read captures',
	builder: (yargs) =>
		yargs
			.option('install', {
				type: 'boolean',
				default: false,
				describe: "Copy the dissector to Wireshark's plugin folder",
			})
			.option('path', {type: 'boolean', default: false, describe: 'Print where the dissector is'})
			.example('vmsim wireshark --install', 'then open a capture with Wireshark')
			.example('tshark -X lua_script:$(vmsim wireshark --path) -r run.pcapng', 'without installing')
			.example('vmsim run --capture - | wireshark -k -i -', 'live') as never,
	handler: wireshark,
};

/** Wireshark's folder for plugins of one user ("Help, About Wireshark, Folders"). */
function pluginFolder(): string {
	if (process.platform === 'win32') {
		return join(process.env['APPDATA'] ?? homedir(), 'Wireshark', 'plugins');
	}
	return join(homedir(), '.local', 'lib', 'wireshark', 'plugins');
}

function wireshark({install, path}: WiresharkArguments): void {
	if (install === path) {
		throw new UsageError('wireshark needs one of --install and --path');
	}
	const dissector = packageFile(DISSECTOR);
	if (path) {
		console.log(dissector);
		return;
	}
	const folder = pluginFolder();
	const target = join(folder, 'vmsim.lua');
	try {
		mkdirSync(folder, {recursive: true});
		copyFileSync(dissector, target);
	} catch (error) {
		const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
		throw new UsageError(
			`cannot install the dissector to ${JSON.stringify(target)}: ${why}`,
			{target},
			error,
		);
	}
	console.log(target);
}
