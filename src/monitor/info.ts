/**
 * What `info` tells. Each topic is a function of the run to text; what Linux has a file for is printed as that file.
 * Looking changes nothing.
 */
import {formatGpa} from '../address.js';
import {PAGEBLOCK_STATE} from '../events.js';
import {samplePageblocks} from '../guest-kernel/mm/free-summary.js';
import type {Memory} from '../guest-kernel/mm/memory.js';
import {buddyinfo} from '../guest-kernel/proc/buddyinfo.js';
import {pagetypeinfo} from '../guest-kernel/proc/pagetypeinfo.js';
import {zoneinfo} from '../guest-kernel/proc/zoneinfo.js';
import {processRssBytes} from '../host/rss.js';
import {MiB, PAGE_SIZE, formatSeconds, formatSize, plural} from '../units.js';
import {VIRTIO_BALLOON_FEATURES, VIRTIO_BALLOON_S} from '../virtio/balloon/spec.js';
import {DeviceStatus, VIRTIO_FEATURES, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import {logicalBytes} from './balloon-target.js';
import {MonitorError, type Monitored} from './monitored.js';
import {viewChain, viewQueue, viewQueues, type QueueView} from './queues.js';

export interface Topic {
	readonly usage: string;
	readonly help: string;
	readonly show: (run: Monitored, argument: string | undefined) => string;
}

/** A letter per PAGEBLOCK_STATE, and what it stands for. */
const PAGEBLOCK_LETTERS: Readonly<Record<keyof typeof PAGEBLOCK_STATE, string>> = {
	hole: ' ',
	used: '#',
	mixed: '+',
	free: '.',
	reported: 'r',
	inFlight: '>',
	ballooned: 'b',
};
const PAGEBLOCKS_PER_LINE = 64;
/** Chains and buffers that one queue shows at most. */
const CHAINS_SHOWN = 8;
const BUFFERS_SHOWN = 8;
const FEATURE_BITS = Object.entries({...VIRTIO_BALLOON_FEATURES, ...VIRTIO_FEATURES});

/** Bytes for people and for scripts: `512 MiB (536870912 bytes)`. */
export function bothSizes(bytes: number): string {
	return `${formatSize(bytes)} (${bytes} bytes)`;
}

function guestMemory({kernel}: Monitored, topic: string): Memory {
	if (kernel === undefined) {
		throw new MonitorError(
			`info ${topic}: not available: this guest is made of instructions and keeps its books in its own memory`,
		);
	}
	if (kernel.memory === undefined) {
		throw new MonitorError(`info ${topic}: not available yet: the guest kernel has not set up its memory`);
	}
	return kernel.memory;
}

function showStatus({control, machine, kernel, name}: Monitored): string {
	const {status, end} = control;
	const word = {prelaunch: 'paused (prelaunch)', paused: 'paused', running: 'running', shutdown: 'shutdown'};
	const lines = [
		`VM status: ${word[status]}${end === undefined ? '' : ` (${end})`}`,
		`time ${formatSeconds(machine.clock.nowNs)} (${machine.clock.nowNs} ns)`,
	];
	if (kernel) {
		const {phase, done} = kernel.workload.progress;
		lines.push(`workload ${name}: ${phase} ${Math.round(done * 100)}%`);
	} else {
		lines.push(`program ${name}: ${machine.hart.describe()}`);
	}
	return `${lines.join('\n')}\n`;
}

function showBalloon(run: Monitored): string {
	const {balloon, transport} = run.machine;
	const {targetPages, actualPages, stats, hinting} = balloon;
	const {core} = transport;
	const negotiated = core.driverFeatures.toBigInt();
	const names = FEATURE_BITS.filter(([, bit]) => (negotiated >> BigInt(bit)) & 1n).map(([name]) => name);
	const statuses = Object.entries(DeviceStatus).filter(([, bit]) => core.status & bit);
	const reports = viewQueues(run.machine).some(({name}) => name === 'reporting_vq')
		? balloon.counters('reporting_vq')
		: undefined;
	const lines = [
		// QEMU's line: guest memory outside of the balloon, MiB.
		`balloon: actual=${Math.floor(logicalBytes(run, actualPages) / MiB)}`,
		`target:  ${bothSizes(targetPages * PAGE_SIZE)} in the balloon, ${bothSizes(logicalBytes(run, targetPages))} for the guest`,
		`actual:  ${bothSizes(actualPages * PAGE_SIZE)} in the balloon, ${bothSizes(logicalBytes(run, actualPages))} for the guest`,
		`status:  ${statuses.map(([name]) => name).join(' ') || 'reset'}`,
		`driver:  ${names.join(' ') || 'no features accepted'}`,
		`hinting: ${hinting.phase}, ${plural(hinting.ranges, 'range')}, ${bothSizes(hinting.bytes)}`,
	];
	if (reports) {
		const {chains, descriptors, discardedBytes, freedBytes} = reports;
		lines.push(
			`reports: ${plural(chains, 'batch', 'batches')} of ${plural(descriptors, 'block')}, ${bothSizes(discardedBytes)} discarded, ` +
				`${bothSizes(freedBytes)} of them had frames`,
		);
	}
	const tags = Object.entries(VIRTIO_BALLOON_S).filter(([, tag]) => stats?.has(tag));
	lines.push(...tags.map(([name, tag]) => `stats:   ${name} ${stats!.get(tag)}`));
	return `${lines.join('\n')}\n`;
}

function queueLine({index, name, sizeMax, state, ring}: QueueView): string {
	const cells = state
		? [state.layout.size, ring!.availIdx, state.lastAvailIdx, state.usedIdx, state.heads.length]
		: [`max ${sizeMax}`, '-', '-', '-', '-'];
	return `${String(index).padStart(5)} ${name.padEnd(13)}${cells.map((cell) => String(cell).padStart(10)).join('')}\n`;
}

function showQueues({machine}: Monitored): string {
	const columns = ['size', 'avail.idx', 'taken', 'used.idx', 'in flight'];
	const title = `queue ${'name'.padEnd(13)}${columns.map((column) => column.padStart(10)).join('')}\n`;
	return title + viewQueues(machine).map(queueLine).join('');
}

function showChain(run: Monitored, queue: QueueView, head: number): string[] {
	const {buffers} = viewChain(run.machine.memory, queue.state!, head);
	const shown = buffers
		.slice(0, BUFFERS_SHOWN)
		.map(
			({index, indirect, addr, len, flags}) =>
				`  ${indirect ? 'table' : 'desc'}[${index}] ${formatGpa(addr)} + ${len} ` +
				`${flags & VIRTQ_DESC_F_WRITE ? 'device writes' : 'device reads'}`,
		);
	const more = buffers.length - shown.length;
	return [`chain of head ${head}, with the device:`, ...shown, ...(more > 0 ? [`  ${more} more`] : [])];
}

function showQueue(run: Monitored, index: number): string {
	const queue = viewQueue(run.machine, index);
	const {name, sizeMax, state, ring} = queue;
	if (!state || !ring) {
		return `queue ${index} ${name}: not ready, up to ${sizeMax} entries\n`;
	}
	const {layout, lastAvailIdx, usedIdx, signalledUsedIdx, heads} = state;
	const lines = [
		`queue ${index} ${name}: ${layout.size} entries`,
		`  desc   ${formatGpa(layout.desc)}`,
		`  driver ${formatGpa(layout.driver)}  flags ${ring.availFlags} idx ${ring.availIdx} used_event ${ring.usedEvent}`,
		`  device ${formatGpa(layout.device)}  flags ${ring.usedFlags} idx ${ring.usedIdx} avail_event ${ring.availEvent}`,
		`  the device takes avail[${lastAvailIdx}] next, writes used[${usedIdx}] next, last told the driver at ${signalledUsedIdx}`,
		`  ${(ring.availIdx - lastAvailIdx) & 0xffff} waiting, ${heads.length} in flight`,
		...heads.slice(0, CHAINS_SHOWN).flatMap((head) => showChain(run, queue, head)),
	];
	if (heads.length > CHAINS_SHOWN) {
		lines.push(`${plural(heads.length - CHAINS_SHOWN, 'chain')} more`);
	}
	return `${lines.join('\n')}\n`;
}

function showPageblocks(run: Monitored): string {
	const memory = guestMemory(run, 'pageblocks');
	const {basePfn, order, states} = samplePageblocks(memory);
	const letters: string[] = [];
	const totals: string[] = [];
	for (const [name, state] of Object.entries(PAGEBLOCK_STATE)) {
		letters[state] = PAGEBLOCK_LETTERS[name as keyof typeof PAGEBLOCK_STATE];
		totals.push(`'${letters[state]}' ${name} ${states.filter((found) => found === state).length}`);
	}
	const lines = [
		`${states.length} pageblocks of ${formatSize(PAGE_SIZE * 2 ** order)}: ${totals.join(', ')}`,
	];
	for (let at = 0; at < states.length; at += PAGEBLOCKS_PER_LINE) {
		const map = Array.from(states.subarray(at, at + PAGEBLOCKS_PER_LINE), (state) => letters[state]!).join(
			'',
		);
		lines.push(`${formatGpa((basePfn + at * 2 ** order) * PAGE_SIZE)} ${map}`);
	}
	return `${lines.join('\n')}\n\n${pagetypeinfo(memory)}`;
}

function showHost({machine}: Monitored): string {
	const {memory, host} = machine;
	const {counters} = memory;
	const pages = (count: number): string => bothSizes(count * PAGE_SIZE);
	return [
		`guest memory   ${bothSizes(memory.sizeBytes)}`,
		`backed         ${bothSizes(memory.backedBytes)}, at most ${pages(counters.backedPeakPages)}`,
		`discarded      ${pages(counters.discardedPages)}, came back ${pages(counters.refaultedPages)}`,
		`faults         ${counters.faults}, of them ${counters.refaults} after a discard, ${counters.hugeFaults} of huge pages`,
		`huge pages     ${counters.hugePagesSplit} split`,
		`host limit     ${host.limitBytes === Infinity ? 'none' : bothSizes(host.limitBytes)}`,
		`process RSS    ${bothSizes(processRssBytes())}, measured`,
		'',
	].join('\n');
}

/** By the word behind `info`. */
export const TOPICS: Readonly<Record<string, Topic>> = {
	balloon: {usage: 'balloon', help: "the balloon's size, features and statistics", show: showBalloon},
	buddy: {
		usage: 'buddy',
		help: 'free blocks by order, as /proc/buddyinfo',
		show: (run) => buddyinfo(guestMemory(run, 'buddy')),
	},
	host: {usage: 'host', help: 'what the host backs, took back and had to give again', show: showHost},
	pageblocks: {
		usage: 'pageblocks',
		help: 'a map of the pageblocks, and /proc/pagetypeinfo',
		show: showPageblocks,
	},
	status: {usage: 'status', help: 'running or not, virtual time, what runs', show: showStatus},
	virtqueue: {
		usage: 'virtqueue [N]',
		help: "the balloon's queues, or one with the chains that the device has",
		show: (run, argument) => {
			if (argument === undefined) {
				return showQueues(run);
			}
			if (!/^[0-9]+$/.test(argument)) {
				throw new MonitorError(`invalid virtqueue number: '${argument}'`);
			}
			return showQueue(run, Number(argument));
		},
	},
	zones: {
		usage: 'zones',
		help: 'every zone, as /proc/zoneinfo',
		show: (run) => zoneinfo(guestMemory(run, 'zones')),
	},
};
