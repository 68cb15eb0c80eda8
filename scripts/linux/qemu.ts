/**
 * The same guest on QEMU: our firmware, Debian's kernel, our initramfs, QEMU's balloon device. Prints the console and
 * the wall time.
 */
import {spawnSync} from 'node:child_process';
import {parseArgs} from 'node:util';
import {QEMU, qemuArguments} from './qemu-command.js';

const {values} = parseArgs({
	options: {
		mem: {type: 'string', default: '512'},
		touch: {type: 'string', default: '64'},
		wait: {type: 'string', default: '5'},
	},
});
const started = performance.now();
const {error, status} = spawnSync(
	QEMU,
	qemuArguments(Number(values.mem), {touchMib: Number(values.touch), waitSeconds: Number(values.wait)}),
	{stdio: ['ignore', 'inherit', 'inherit']},
);
if (error !== undefined || status !== 0) {
	console.error(`${QEMU}: ${error?.message ?? `exit ${status}`}`);
	process.exitCode = 1;
} else {
	console.log(`${((performance.now() - started) / 1000).toFixed(1)} s of wall time`);
}
