/**
 * As much of QEMU's object model as there is to see: the balloon, and of its properties those that clients ask for.
 * Errors in the words of QEMU 7.2 qom/object.c and qom/qom-qmp-cmds.c.
 */
import {NS_PER_S} from '../../units.js';
import {VIRTIO_BALLOON_S, type BalloonStatName} from '../../virtio/balloon/spec.js';
import {MonitorError, type Monitored} from '../monitored.js';
import type {Json} from './json.js';

/** Where the balloon is, and its type: `-device virtio-balloon-device,id=balloon0`. */
export const BALLOON_PATH = '/machine/peripheral/balloon0';
const BALLOON_TYPE = 'virtio-balloon-device';
/** u64 of a statistic that the guest did not send. */
const NO_STAT = 2n ** 64n - 1n;
/** Seconds: QEMU's UINT32_MAX. */
const MAX_INTERVAL = 2 ** 32 - 1;

/** QEMU's names, in the specification's order. The first ten are always there, the others when the guest sent them. */
const STAT_NAMES: Readonly<Record<BalloonStatName, string>> = {
	SWAP_IN: 'stat-swap-in',
	SWAP_OUT: 'stat-swap-out',
	MAJFLT: 'stat-major-faults',
	MINFLT: 'stat-minor-faults',
	MEMFREE: 'stat-free-memory',
	MEMTOT: 'stat-total-memory',
	AVAIL: 'stat-available-memory',
	CACHES: 'stat-disk-caches',
	HTLB_PGALLOC: 'stat-htlb-pgalloc',
	HTLB_PGFAIL: 'stat-htlb-pgfail',
	OOM_KILL: 'stat-oom-kills',
	ALLOC_STALL: 'stat-alloc-stalls',
	ASYNC_SCAN: 'stat-async-scans',
	DIRECT_SCAN: 'stat-direct-scans',
	ASYNC_RECLAIM: 'stat-async-reclaims',
	DIRECT_RECLAIM: 'stat-direct-reclaims',
};
const ALWAYS_THERE = VIRTIO_BALLOON_S.HTLB_PGFAIL;

interface Property {
	readonly type: string;
	readonly get: (run: Monitored) => Json;
	/** Absent: read-only. */
	readonly set?: (run: Monitored, value: Json) => void;
}

interface QomObject {
	readonly type: string;
	readonly properties: Readonly<Record<string, Property>>;
}

function guestStats({machine, polling}: Monitored): Json {
	const latest = machine.balloon.stats;
	const {lastUpdateNs} = polling;
	const stats: Record<string, Json> = {};
	for (const [name, tag] of Object.entries(VIRTIO_BALLOON_S)) {
		const value = lastUpdateNs === undefined ? undefined : latest?.get(tag);
		if (value !== undefined || tag <= ALWAYS_THERE) {
			stats[STAT_NAMES[name as BalloonStatName]] = value ?? NO_STAT;
		}
	}
	// Whole seconds as in QEMU, of virtual time: at least 1, as 0 means never.
	const lastUpdate = lastUpdateNs === undefined ? 0 : Math.max(1, Math.floor(lastUpdateNs / NS_PER_S));
	return {stats, 'last-update': lastUpdate};
}

function setInterval({polling}: Monitored, value: Json): void {
	if (!Number.isInteger(value)) {
		throw new MonitorError("Invalid parameter type for 'guest-stats-polling-interval', expected: integer");
	}
	const seconds = value as number;
	if (seconds < 0) {
		throw new MonitorError('timer value must be greater than zero');
	}
	if (seconds > MAX_INTERVAL) {
		throw new MonitorError('timer value is too big');
	}
	polling.setInterval(seconds);
}

const container = (type: string, children: Readonly<Record<string, string>>): QomObject => ({
	type,
	properties: Object.fromEntries(
		Object.entries(children).map(([name, child]) => [
			name,
			{type: `child<${child}>`, get: () => `${OBJECT_PATHS[child] ?? ''}`},
		]),
	),
});

const OBJECT_PATHS: Readonly<Record<string, string>> = {
	[BALLOON_TYPE]: BALLOON_PATH,
	container: '/machine/peripheral',
	'vmsim-machine': '/machine',
};

const OBJECTS: Readonly<Record<string, QomObject>> = {
	'/': container('container', {machine: 'vmsim-machine'}),
	'/machine': container('vmsim-machine', {peripheral: 'container'}),
	'/machine/peripheral': container('container', {balloon0: BALLOON_TYPE}),
	[BALLOON_PATH]: {
		type: BALLOON_TYPE,
		properties: {
			'guest-stats': {type: 'guest statistics', get: guestStats},
			'guest-stats-polling-interval': {
				type: 'int',
				get: ({polling}) => polling.intervalSeconds,
				set: setInterval,
			},
		},
	},
};

/** A path from the root, or the end of one, as QEMU takes them: `balloon0`, `peripheral/balloon0`. */
function findObject(path: string): QomObject {
	const trimmed = path.length > 1 ? path.replace(/\/+$/, '') : path;
	const found = Object.keys(OBJECTS).find((full) =>
		trimmed.startsWith('/') ? full === trimmed : full.endsWith(`/${trimmed}`),
	);
	if (found === undefined || trimmed === '') {
		throw new MonitorError(`Device '${path}' not found`, 'DeviceNotFound');
	}
	return OBJECTS[found]!;
}

function findProperty({type, properties}: QomObject, name: string): Property {
	if (name === 'type') {
		return {type: 'string', get: () => type};
	}
	const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
	if (property === undefined) {
		throw new MonitorError(`Property '${type}.${name}' not found`);
	}
	return property;
}

export function qomGet(run: Monitored, path: string, name: string): Json {
	return findProperty(findObject(path), name).get(run);
}

export function qomSet(run: Monitored, path: string, name: string, value: Json): void {
	const object = findObject(path);
	const {set} = findProperty(object, name);
	if (set === undefined) {
		throw new MonitorError(`Property '${object.type}.${name}' is not writable`);
	}
	set(run, value);
}

export function qomList(path: string): Json {
	const {properties} = findObject(path);
	return [
		{name: 'type', type: 'string'},
		...Object.entries(properties).map(([name, {type}]) => ({name, type})),
	];
}
