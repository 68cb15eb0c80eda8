/**
 * Debian's kernel to the first line of our init, on vmsim and on QEMU, side by side: the same firmware, Image and
 * initramfs, a fresh process each, alternating, best of several runs; process start included.
 *
 *   npm run linux:fetch && npm run linux:initramfs && node dist/bench/linux-boot.js [runs] [MiB]
 */
import {spawn} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {QEMU, qemuArguments} from '../scripts/linux/qemu-command.js';
import {cachedLinux} from '../scripts/linux/paths.js';

/** How many times as long as QEMU it may take. */
const LIMIT = 10;
/** What init prints first. */
const STARTED = 'vmsim-init: started';

/** Seconds from the start of a process to init's first line on its standard output; the process is ended then. */
function secondsToInit(program: string, args: readonly string[]): Promise<number> {
	return new Promise((resolve, reject) => {
		const start = process.hrtime.bigint();
		const child = spawn(program, args, {stdio: ['ignore', 'pipe', 'inherit']});
		let text = '';
		child.on('error', reject);
		child.on('exit', (code) => reject(new Error(`${program} ended with ${code} before init started`)));
		child.stdout.on('data', (data: Buffer) => {
			text += data.toString();
			if (text.includes(STARTED)) {
				resolve(Number(process.hrtime.bigint() - start) / 1e9);
				child.kill('SIGKILL');
			}
		});
	});
}

const runs = Number(process.argv[2] ?? 3);
const mem = process.argv[3] ?? '512';
const script = (name: string): string =>
	fileURLToPath(new URL(`../scripts/linux/${name}.js`, import.meta.url));
const guest = ['--mem', mem, '--touch', '0', '--wait', '0'];
if (cachedLinux() === undefined) {
	console.error('no kernel package: npm run linux:fetch');
	process.exitCode = 1;
} else {
	let ours = Infinity;
	let qemu = Infinity;
	for (let run = 0; run < runs; run++) {
		ours = Math.min(ours, await secondsToInit(process.execPath, [script('run'), ...guest]));
		qemu = Math.min(
			qemu,
			await secondsToInit(QEMU, qemuArguments(Number(mem), {touchMib: 0, waitSeconds: 0})),
		);
	}
	console.log(`to init, ${mem} MiB, best of ${runs}: vmsim ${ours.toFixed(2)} s, QEMU ${qemu.toFixed(2)} s`);
	console.log(`ratio ${(ours / qemu).toFixed(2)} (limit ${LIMIT})`);
	process.exitCode = ours / qemu <= LIMIT ? 0 : 1;
}
