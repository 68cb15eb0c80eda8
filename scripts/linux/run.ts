/** Boots the Linux guest on vmsim and shows its console: `[--mem MiB] [--touch MiB] [--wait SECONDS]`. */
import {readFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import {MiB, formatSeconds, formatSize} from '../../src/units.js';
import {kernelCommandLine} from './command-line.js';
import {buildInitramfs} from './initramfs.js';
import {createLinuxMachine} from './machine.js';
import {INIT_PATH, cachedLinux} from './paths.js';

const {values} = parseArgs({
	options: {
		mem: {type: 'string', default: '512'},
		touch: {type: 'string', default: '64'},
		wait: {type: 'string', default: '5'},
	},
});
const linux = cachedLinux();
if (linux === undefined) {
	console.error('linux:run: no kernel package yet: npm run linux:fetch');
	process.exit(1);
}
const started = performance.now();
const machine = await createLinuxMachine({
	memoryBytes: Number(values.mem) * MiB,
	image: linux.image,
	initrd: buildInitramfs(readFileSync(INIT_PATH), linux.modules),
	commandLine: kernelCommandLine({touchMib: Number(values.touch), waitSeconds: Number(values.wait)}),
	rngSeed: new Uint8Array(32).fill(1),
	transmit: (byte) => process.stdout.write(Uint8Array.of(byte)),
});
const {hart, memory, clock} = machine;
hart.run();
console.log(
	`${machine.finish?.kind ?? hart.describe()}: ${(hart.instret / 1e6).toFixed(1)} M instructions, ` +
		`${formatSeconds(clock.nowNs)} of virtual and ${((performance.now() - started) / 1000).toFixed(1)} s of wall time, ` +
		`${formatSize(memory.counters.backedPages * 4096)} of ${formatSize(memory.sizeBytes)} backed by the host`,
);
