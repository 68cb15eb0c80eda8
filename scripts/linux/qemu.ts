/**
 * The same guest on QEMU: our firmware, Debian's kernel, our initramfs, QEMU's balloon device. Prints the console and
 * the wall time; `--record FILE` writes the device's register accesses, one a line, up to the end of the driver's
 * set-up: what the end-to-end test compares ours with.
 */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {parseArgs} from 'node:util';
import {QEMU, qemuArguments} from './qemu-command.js';

/** The first access after the set-up is the driver's look at its configuration (VIRTIO 1.4 4.2.2, 5.5.4). */
const CONFIG = 0x100;

/** `R 0x070` and `W 0x070 0x3`, from QEMU's trace of virtio_mmio_read and virtio_mmio_write_offset. */
export function registerAccesses(trace: string): string[] {
	const accesses: string[] = [];
	for (const [, read, write, value] of trace.matchAll(
		/virtio_mmio_read offset 0x([0-9a-f]+)|virtio_mmio_write offset 0x([0-9a-f]+) value 0x([0-9a-f]+)/g,
	)) {
		const offset = `0x${(read ?? write)!.padStart(3, '0')}`;
		accesses.push(read === undefined ? `W ${offset} 0x${value}` : `R ${offset}`);
		if (read !== undefined && parseInt(read, 16) === CONFIG) {
			break;
		}
	}
	return accesses;
}

const {values} = parseArgs({
	options: {
		record: {type: 'string'},
		mem: {type: 'string', default: '512'},
		touch: {type: 'string', default: '64'},
		wait: {type: 'string', default: '5'},
	},
});
const folder = mkdtempSync(`${tmpdir()}/vmsim-qemu-`);
const started = performance.now();
const {error, status} = spawnSync(
	QEMU,
	[
		...qemuArguments(Number(values.mem), {touchMib: Number(values.touch), waitSeconds: Number(values.wait)}),
		...(values.record === undefined ? [] : ['-trace', 'virtio_mmio_*', '-D', `${folder}/trace`]),
	],
	{stdio: ['ignore', 'inherit', 'inherit']},
);
if (error !== undefined || status !== 0) {
	console.error(`qemu-system-riscv64: ${error?.message ?? `exit ${status}`}`);
	process.exitCode = 1;
} else {
	console.log(`${((performance.now() - started) / 1000).toFixed(1)} s of wall time`);
	if (values.record !== undefined) {
		writeFileSync(values.record, `${registerAccesses(readFileSync(`${folder}/trace`, 'utf8')).join('\n')}\n`);
	}
}
rmSync(folder, {recursive: true});
