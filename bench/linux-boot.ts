/**
 * Debian's kernel to the first line of our init, on vmsim and on QEMU, side by side: the same firmware, Image and
 * initramfs, a fresh process each, alternating, best of several runs; process start included.
 *
 *   npm run linux:fetch && node dist/bench/linux-boot.js [runs] [MiB]
 */
import {spawn} from 'node:child_process';
import {writeInitramfs} from '../scripts/linux/initramfs.js';
import {QEMU, qemuArguments} from '../scripts/linux/qemu-command.js';
import {cachedLinux} from '../scripts/linux/paths.js';
import {vmsimArguments} from '../scripts/linux/vmsim-command.js';

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
const guest = {touchMib: 0, waitSeconds: 0};
const linux = cachedLinux();
if (linux === undefined) {
	console.error('no kernel package: npm run linux:fetch');
	process.exitCode = 1;
} else {
	writeInitramfs(linux);
	let ours = Infinity;
	let qemu = Infinity;
	for (let run = 0; run < runs; run++) {
		ours = Math.min(
			ours,
			await secondsToInit(process.execPath, vmsimArguments(guest, ['--guest-mem', `${mem}M`])),
		);
		qemu = Math.min(qemu, await secondsToInit(QEMU, qemuArguments(Number(mem), guest)));
	}
	console.log(`to init, ${mem} MiB, best of ${runs}: vmsim ${ours.toFixed(2)} s, QEMU ${qemu.toFixed(2)} s`);
	console.log(`ratio ${(ours / qemu).toFixed(2)} (limit ${LIMIT})`);
	process.exitCode = ours / qemu <= LIMIT ? 0 : 1;
}
