/** QEMU's virtio-balloon as a slot of registers, and what QMP can ask of it. */
import type {AccessWidth, MmioDevice} from '../board/bus.js';
import {VIRTIO_BASE, virtioIrq} from '../board/memory-map.js';
import type {GuestRam} from '../host/ram.js';
import {VmsimError} from '../errors.js';
import {PAGE_SIZE} from '../units.js';
import {VIRTIO_BALLOON_CONFIG, VIRTIO_BALLOON_S} from '../virtio/balloon/spec.js';
import {MMIO_CONFIG_AT} from '../virtio/spec.js';
import type {QemuLaunch} from './launch.js';
import {BALLOON_PATH, QemuProcess, type QemuOptions} from './process.js';
import {sleepSync} from './sleep.js';

/** QEMU's timer runs in its main loop: this is how long we give it, and how often. */
const POLL_MS = 1;
const TIMER_PATIENCE_MS = 500;
const MIGRATION_PATIENCE_MS = 5000;
/** A page of zeros is nine bytes of the stream: 16 MiB of them last for half a minute. */
const MIGRATION_BYTES_PER_SECOND = 1024;
/** What QEMU calls the tags of VIRTIO 1.4 5.5.6.4 (hw/virtio/virtio-balloon.c, balloon_stat_names). */
const STAT_NAMES: Readonly<Record<string, number>> = {
	'stat-swap-in': VIRTIO_BALLOON_S.SWAP_IN,
	'stat-swap-out': VIRTIO_BALLOON_S.SWAP_OUT,
	'stat-major-faults': VIRTIO_BALLOON_S.MAJFLT,
	'stat-minor-faults': VIRTIO_BALLOON_S.MINFLT,
	'stat-free-memory': VIRTIO_BALLOON_S.MEMFREE,
	'stat-total-memory': VIRTIO_BALLOON_S.MEMTOT,
	'stat-available-memory': VIRTIO_BALLOON_S.AVAIL,
	'stat-disk-caches': VIRTIO_BALLOON_S.CACHES,
	'stat-htlb-pgalloc': VIRTIO_BALLOON_S.HTLB_PGALLOC,
	'stat-htlb-pgfail': VIRTIO_BALLOON_S.HTLB_PGFAIL,
};
/** QEMU shows this for a tag that the guest did not send. */
const NO_STAT = 2n ** 64n - 1n;

export class QemuBalloon implements MmioDevice {
	readonly process: QemuProcess;
	readonly ram: GuestRam;

	/** `launch` is a QEMU that was launched with these options. */
	constructor(options: QemuOptions = {}, launch?: QemuLaunch) {
		this.process = new QemuProcess(options, launch);
		this.ram = this.process.ram;
	}

	read(offset: number, width: AccessWidth): number {
		return this.process.read(VIRTIO_BASE + offset, width);
	}

	write(offset: number, width: AccessWidth, value: number): void {
		this.process.write(VIRTIO_BASE + offset, width, value);
	}

	/** The slot's interrupt line, where sources are watched. */
	interruptLevel(): boolean {
		this.process.sync();
		return this.process.level(virtioIrq(0));
	}

	/** Asks for a balloon of so many pages. */
	setTargetPages(pages: number): void {
		this.setLogicalBytes(this.ram.sizeBytes - pages * PAGE_SIZE);
	}

	/** QMP `balloon`: what is to be left of memory, bytes. */
	setLogicalBytes(bytes: number): void {
		this.process.qmp.execute('balloon', {value: bytes});
		this.process.sync();
	}

	/** Pages that the host wants in the balloon, and pages that the guest has put there. */
	get pages(): {target: number; actual: number} {
		const word = (at: number) => this.read(MMIO_CONFIG_AT + at, 4);
		return {
			target: word(VIRTIO_BALLOON_CONFIG.num_pages.at),
			actual: word(VIRTIO_BALLOON_CONFIG.actual.at),
		};
	}

	/** QMP `query-balloon`: what is left of memory, bytes. */
	logicalBytes(): number {
		return (this.process.qmp.execute('query-balloon') as {actual: number}).actual;
	}

	/**
	 * Opens a round of free page hints: live migration does, and asks for them under a new command id. It is sent to
	 * nobody, and so slowly that the round stays open.
	 */
	startHinting(): void {
		const {qmp} = this.process;
		qmp.execute('migrate-set-parameters', {'max-bandwidth': MIGRATION_BYTES_PER_SECOND});
		qmp.execute('migrate', {uri: 'exec:cat >/dev/null'});
		this.#awaitMigration('active');
	}

	/** Ends the round: the migration is given up. */
	doneHinting(): void {
		this.process.qmp.execute('migrate_cancel');
		this.#awaitMigration('cancelled');
	}

	/**
	 * Asks the guest for statistics: QEMU does that when polling is switched on, at once, and then once a second. Where
	 * it holds no buffer it asks for nothing. Waits until `asked`, by default for the interrupt line.
	 */
	requestStats(asked: () => boolean = () => this.process.level(virtioIrq(0))): void {
		this.pollStats(1);
		for (let waited = 0; waited < TIMER_PATIENCE_MS && !asked(); waited += POLL_MS) {
			sleepSync(POLL_MS);
			this.process.sync();
		}
		this.pollStats(0);
		this.process.sync();
	}

	/** Has QEMU ask the guest for statistics every so many seconds; 0 ends that. */
	pollStats(seconds: number): void {
		this.process.qmp.execute('qom-set', {
			path: BALLOON_PATH,
			property: 'guest-stats-polling-interval',
			value: seconds,
		});
	}

	/** The guest's last statistics, value by tag; undefined before there were any. */
	stats(): ReadonlyMap<number, bigint> | undefined {
		const {stats, 'last-update': lastUpdate} = this.process.qmp.execute('qom-get', {
			path: BALLOON_PATH,
			property: 'guest-stats',
		}) as {stats: Record<string, number | string>; 'last-update': number};
		if (lastUpdate === 0) {
			return undefined;
		}
		const values = Object.entries(stats).map(([name, value]) => [STAT_NAMES[name], BigInt(value)] as const);
		return new Map(
			values.filter((entry): entry is [number, bigint] => entry[0] !== undefined && entry[1] !== NO_STAT),
		);
	}

	close(): void {
		this.process.close();
	}

	#awaitMigration(state: string): void {
		for (let waited = 0; waited < MIGRATION_PATIENCE_MS; waited += POLL_MS) {
			const {status} = this.process.qmp.execute('query-migrate') as {status?: string};
			if (status === state) {
				this.process.sync();
				return;
			}
			sleepSync(POLL_MS);
		}
		throw new VmsimError('QEMU_FAILED', `QEMU's migration is not ${state} after ${MIGRATION_PATIENCE_MS} ms`);
	}
}
