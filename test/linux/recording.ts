/**
 * One boot of Debian's kernel with the host's part played in: a balloon target of 64 MiB and back, statistics, and
 * everything that the device did, with its time.
 */
import {createHash} from 'node:crypto';
import {writeInitramfs} from '../../scripts/linux/initramfs.js';
import {kernelCommandLine} from '../../scripts/linux/command-line.js';
import {IMAGE_PATH, INITRAMFS_PATH, type LinuxFiles} from '../../scripts/linux/paths.js';
import {VIRTIO_SLOTS, virtioBase} from '../../src/board/memory-map.js';
import type {Finish} from '../../src/board/finisher.js';
import type {DeviceEvent, VmEvent} from '../../src/events.js';
import {DEFAULT_MACHINE} from '../../src/config.js';
import {ProtocolChecker} from '../../src/inspect/check/checker.js';
import type {Violation} from '../../src/inspect/check/rule.js';
import type {Machine} from '../../src/machine.js';
import {ProgramGuest} from '../../src/program-guest.js';
import {MiB, NS_PER_S, PAGE_SIZE} from '../../src/units.js';
import {DeviceStatus} from '../../src/virtio/spec.js';

export const MEMORY_BYTES = 512 * MiB;
export const TARGET_BYTES = 64 * MiB;
export const TOUCH_BYTES = 64 * MiB;
/** What init waits before it touches memory, and again afterwards: freed pages leave the per-cpu lists slowly. */
const WAIT_S = 30;

/** The host's huge pages are off, so that frames are counted page by page. */
const MACHINE = {
	...DEFAULT_MACHINE,
	guestMemBytes: MEMORY_BYTES,
	host: {...DEFAULT_MACHINE.host, hugePages: 'never' as const},
};

/** What the host does, and when: seconds after the driver is ready. */
const INFLATE_AT_S = 3;
const STATISTICS_AT_S = 4;
const DEFLATE_AT_S = 4.5;
const MEASURE_AT_S = 5.5;

export interface Recording {
	readonly finish: Finish | undefined;
	readonly console: string;
	readonly events: readonly {readonly event: DeviceEvent; readonly timeNs: number}[];
	/** Register accesses of all slots, in order: `R 0x070`, `W 0x070 0x3`. */
	readonly accesses: readonly string[];
	/** Frames that the host backed the guest with, in bytes, at moments that the name says. */
	readonly backedBytes: Readonly<Record<string, number>>;
	readonly instructions: number;
	/** What the protocol checker found, while it happened. */
	readonly violations: readonly Violation[];
	/** Over every event and every byte of the console. */
	readonly fingerprint: string;
}

function access(write: boolean, offset: number, value: number): string {
	const at = `0x${offset.toString(16).padStart(3, '0')}`;
	return write ? `W ${at} 0x${value.toString(16)}` : `R ${at}`;
}

/** Boots, plays the host's part, runs until the guest powers off or `untilNs`. */
export async function record(linux: LinuxFiles, untilNs = Infinity): Promise<Recording> {
	let console = '';
	writeInitramfs(linux);
	const {machine} = await ProgramGuest.create(
		MACHINE,
		{
			kernel: IMAGE_PATH,
			initrd: INITRAMFS_PATH,
			append: kernelCommandLine({touchMib: TOUCH_BYTES / MiB, waitSeconds: WAIT_S}),
		},
		{transmit: (byte) => (console += String.fromCharCode(byte))},
	);
	const {clock, balloon, memory} = machine;
	const events: {event: DeviceEvent; timeNs: number}[] = [];
	const accesses: string[] = [];
	const backedBytes: Record<string, number> = {};
	const hash = createHash('sha256');
	const measure = (name: string): void => {
		backedBytes[name] = memory.counters.backedPages * PAGE_SIZE;
	};
	const playHost = (): void => {
		measure('driver ready');
		clock.after((INFLATE_AT_S - 0.001) * NS_PER_S, () => measure('before inflation'));
		clock.after(INFLATE_AT_S * NS_PER_S, () => balloon.setTargetBytes(TARGET_BYTES));
		clock.after(STATISTICS_AT_S * NS_PER_S, () => {
			measure('inflated');
			balloon.requestStats();
		});
		clock.after(DEFLATE_AT_S * NS_PER_S, () => balloon.setTargetBytes(0));
		clock.after(MEASURE_AT_S * NS_PER_S, () => measure('deflated'));
	};
	machine.trace.subscribe((event: VmEvent, timeNs) => {
		hash.update(
			`${timeNs} ${JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}\n`,
		);
		if ('device' in event) {
			events.push({event: event as DeviceEvent, timeNs});
		}
		if (event.type === 'mmio') {
			accesses.push(access(event.write, event.offset, event.value));
		} else if (event.type === 'status' && (event.to & ~event.from & DeviceStatus.DRIVER_OK) !== 0) {
			playHost();
		}
	});
	const violations: Violation[] = [];
	const checker = new ProtocolChecker((violation) => violations.push(violation));
	machine.trace.subscribe((event, timeNs) => checker.observe(event, timeNs));
	spyOnEmptySlots(machine, accesses);
	machine.hart.run({untilNs});
	checker.finish();
	measure('end');
	hash.update(console);
	return {
		finish: machine.finish,
		console,
		events,
		accesses,
		backedBytes,
		instructions: machine.hart.instret,
		violations,
		fingerprint: hash.digest('hex'),
	};
}

/** Slots without a device tell nobody that they are probed. */
function spyOnEmptySlots({bus}: Machine, accesses: string[]): void {
	for (let slot = 1; slot < VIRTIO_SLOTS; slot++) {
		const {device} = bus.find(virtioBase(slot), 4)!;
		const read = device.read.bind(device);
		const write = device.write.bind(device);
		device.read = (offset, width) => {
			accesses.push(access(false, offset, 0));
			return read(offset, width);
		};
		device.write = (offset, width, value) => {
			accesses.push(access(true, offset, value));
			write(offset, width, value);
		};
	}
}
