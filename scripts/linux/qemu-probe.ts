/** What the same Linux does with QEMU's balloon before it looks at its configuration: register by register. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {QEMU, qemuArguments} from './qemu-command.js';

/** The first access after the set-up is the driver's look at its configuration (VIRTIO 1.4 4.2.2, 5.5.4). */
const CONFIG = 0x100;
const MEMORY_MIB = 512;
const TIMEOUT_MS = 120_000;

/**
 * Boots the guest of qemuArguments on QEMU until it powers off. The driver's register accesses in order, `R 0x070` and
 * `W 0x070 0x3`, up to its first look at the configuration; undefined where QEMU is not installed. Needs what linux:fetch
 * and linux:initramfs left.
 */
export function probeOnQemu(): string[] | undefined {
	const folder = mkdtempSync(`${tmpdir()}/vmsim-qemu-`);
	try {
		const {error, status, stderr} = spawnSync(
			QEMU,
			[
				...qemuArguments(MEMORY_MIB, {touchMib: 0, waitSeconds: 0}),
				...['-trace', 'virtio_mmio_*', '-D', `${folder}/trace`],
			],
			{stdio: ['ignore', 'ignore', 'pipe'], timeout: TIMEOUT_MS},
		);
		if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
			return undefined;
		}
		if (status !== 0) {
			throw new Error(`QEMU ended with ${status ?? error?.message}: ${stderr.toString()}`);
		}
		return registerAccesses(readFileSync(`${folder}/trace`, 'utf8'));
	} finally {
		rmSync(folder, {recursive: true});
	}
}

/** From QEMU's trace of virtio_mmio_read and virtio_mmio_write_offset. */
function registerAccesses(trace: string): string[] {
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
