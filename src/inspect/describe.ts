/** One event in one line of words: what the default view, the live view and the packet list of the report print. */
import {formatGpa} from '../address.js';
import type {RingIndices, VmEvent} from '../events.js';
import {PAGE_SIZE, formatSize, plural} from '../units.js';
import {VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_WRITE} from '../virtio/spec.js';
import {featureBitsOf, featureName, registerMeaning, registerName, statName, statusNames} from './names.js';

/** Ranges that a line lists before it says how many more there are. */
const RANGES_SHOWN = 3;
const STATS_SHOWN = 4;

/** Virtual time for people, in the unit that fits: `850 ns`, `12.3 us`, `2.003 s`. */
export function formatDuration(ns: number): string {
	if (ns < 1e3) {
		return `${Math.round(ns)} ns`;
	}
	if (ns < 1e6) {
		return `${(ns / 1e3).toFixed(1)} us`;
	}
	return ns < 1e9 ? `${(ns / 1e6).toFixed(1)} ms` : `${(ns / 1e9).toFixed(3)} s`;
}

function range(base: number, sizeBytes: number): string {
	return `0x${base.toString(16)}+${formatSize(sizeBytes)}`;
}

/** The first few and how many more. */
function listed(texts: readonly string[], total: number, shown: number): string {
	const more = total - Math.min(shown, texts.length);
	return texts.slice(0, shown).join(', ') + (more > 0 ? `, ${more} more` : '');
}

function indices({availIdx, usedIdx, usedEvent, availEvent, availFlags, usedFlags}: RingIndices): string {
	const flags = `${availFlags ? ' NO_INTERRUPT' : ''}${usedFlags ? ' NO_NOTIFY' : ''}`;
	return ` (avail.idx ${availIdx}, used.idx ${usedIdx}, used_event ${usedEvent}, avail_event ${availEvent}${flags})`;
}

function chain({ringIndex, head, descriptors}: VmEvent & {type: 'avail'}): string {
	let readable = 0;
	let writable = 0;
	const ranges: string[] = [];
	let buffers = 0;
	for (const {addr, len, flags} of descriptors) {
		if (flags & VIRTQ_DESC_F_INDIRECT) {
			continue;
		}
		buffers++;
		if (flags & VIRTQ_DESC_F_WRITE) {
			writable += len;
		} else {
			readable += len;
		}
		if (ranges.length < RANGES_SHOWN) {
			ranges.push(range(addr, len));
		}
	}
	const bytes = [
		readable > 0 ? `${formatSize(readable)} readable` : '',
		writable > 0 ? `${formatSize(writable)} writable` : '',
	].filter(Boolean);
	const via = buffers < descriptors.length ? ' through an indirect table' : '';
	return (
		`avail [${ringIndex}] head ${head}: ${plural(buffers, 'buffer')}${via}, ` +
		`${bytes.join(', ') || 'no bytes'}${ranges.length > 0 ? `: ${listed(ranges, buffers, RANGES_SHOWN)}` : ''}`
	);
}

function blocks(list: readonly {pfn: number; order: number}[]): string {
	const bytes = list.reduce((sum, {order}) => sum + PAGE_SIZE * 2 ** order, 0);
	const texts = list
		.slice(0, RANGES_SHOWN)
		.map(({pfn, order}) => range(pfn * PAGE_SIZE, PAGE_SIZE * 2 ** order));
	return `${plural(list.length, 'block')}, ${formatSize(bytes)}: ${listed(texts, list.length, RANGES_SHOWN)}`;
}

/**
 * The event in words. `queue` names the queue of an event that has one; `latencyNs` is the time since the avail entry
 * for a used element whose entry is known.
 */
export function describeEvent(event: VmEvent, queue = '', latencyNs = -1): string {
	switch (event.type) {
		case 'mmio': {
			const meaning = registerMeaning(event.offset, event.value);
			const value = `0x${event.value.toString(16).padStart(2 * event.width, '0')}`;
			const width = event.width === 4 ? '' : ` (${event.width} B)`;
			return (
				`MMIO ${event.write ? 'write' : 'read '} ${registerName(event.offset)}${width} = ${value}` +
				(meaning && ` (${meaning})`)
			);
		}
		case 'status': {
			const set = event.to & ~event.from;
			const change = event.to === 0 ? 'reset' : `+ ${statusNames(set)}`;
			return `status 0x${event.from.toString(16)} -> 0x${event.to.toString(16)} (${change})`;
		}
		case 'features': {
			const names = featureBitsOf(event.accepted).map(featureName).join(' ') || 'none';
			const refused = featureBitsOf(event.offered & ~event.accepted)
				.map(featureName)
				.join(' ');
			return (
				`features ${event.ok ? 'agreed' : 'NOT agreed'}: ${names}` + (refused && `; not taken: ${refused}`)
			);
		}
		case 'queue-ready':
			return event.ready
				? `${queue} ready: queue ${event.queue}, ${event.size} entries, desc ${formatGpa(event.desc)}, ` +
						`avail ${formatGpa(event.driver)}, used ${formatGpa(event.used)}`
				: `${queue} not ready`;
		case 'queue-reset':
			return `${queue} reset`;
		case 'device-reset':
			return 'device reset';
		case 'notify':
			return (
				`${queue} notify${event.ignored ? `, ignored: ${event.ignored}` : ''}` +
				(event.ring ? indices(event.ring) : '')
			);
		case 'avail':
			return `${queue} ${chain(event)}`;
		case 'used':
			return (
				`${queue} used [${event.ringIndex}] head ${event.head}, ${event.len} B written` +
				(latencyNs >= 0 ? `, ${formatDuration(latencyNs)} after avail` : '')
			);
		case 'used-notification':
			return `${queue} interrupt ${event.sent ? 'sent' : 'saved'}${event.ring ? indices(event.ring) : ''}`;
		case 'config-change':
			return `configuration change, generation ${event.generation}`;
		case 'irq-line':
			return `interrupt line ${event.level ? 'up' : 'down'}`;
		case 'ring-fault':
			return `${queue} RING FAULT ${event.code}: ${event.detail} (${event.clause})`;
		case 'needs-reset':
			return `DEVICE_NEEDS_RESET: ${event.reason}`;
		case 'discard': {
			const what = `${queue} head ${event.head} discard ${range(event.base, event.sizeBytes)}`;
			if (event.skipped) {
				return `${what} skipped: ${event.skipped}`;
			}
			const split = event.hugePagesSplit > 0 ? `, ${plural(event.hugePagesSplit, 'huge page')} split` : '';
			return `${what}: ${formatSize(event.freedBytes)} freed${split}`;
		}
		case 'balloon':
			return `balloon ${event.actualPages} of ${event.targetPages} pages`;
		case 'balloon-stats': {
			const texts = event.stats.map(({tag, value}) => `${statName(tag)} ${value}`);
			return `statistics: ${listed(texts, texts.length, STATS_SHOWN)}`;
		}
		case 'hinting':
			return `free page hinting ${event.phase}, command 0x${event.commandId.toString(16)}`;
		case 'host-fault':
			return (
				`host ${event.refault ? 'refault' : 'fault'} of ${event.huge ? 'a huge page' : 'a page'} at ` +
				formatGpa(event.pfn * PAGE_SIZE)
			);
		case 'host-limit':
			return `host limit ${formatSize(event.limitBytes)}`;
		case 'memory':
			return (
				`memory: guest free ${formatSize(event.guestFreeBytes)}, host backed ` +
				`${formatSize(event.hostBackedBytes)}, reported ${formatSize(event.reportedBytes)}, refaulted ` +
				formatSize(event.refaultedBytes) +
				(event.rssBytes === undefined ? '' : `, RSS ${formatSize(event.rssBytes)}`)
			);
		case 'guest-boot':
			return `boot: ${event.phase}${event.detail ? ` ${event.detail}` : ''}`;
		case 'console':
			return `console: ${event.text.trimEnd()}`;
		case 'driver-kick':
			return `${queue} driver ${event.kicked ? 'kicks' : 'saves the kick'}${event.ring ? indices(event.ring) : ''}`;
		case 'reporting-state':
			return `reporting ${event.design}: ${event.state}${event.zone ? ` (${event.zone})` : ''}`;
		case 'report-submit':
			return `report from ${event.zone}: ${blocks(event.blocks)}`;
		case 'report-return':
			return `report back to ${event.zone}${event.ok ? '' : ', NOT acknowledged'}: ${blocks(event.blocks)}`;
		case 'pageblocks':
			return `pageblocks: ${event.states.length} of order ${event.order} from pfn 0x${event.basePfn.toString(16)}`;
		case 'oom':
			return `OUT OF MEMORY: ${event.detail}`;
		case 'workload':
			return `workload ${event.phase}, holds ${formatSize(event.heldBytes)}`;
		case 'integrity-failure':
			return (
				`LOST CONTENT of the page at ${formatGpa(event.pfn * PAGE_SIZE)}: expected ` +
				`0x${event.expected.toString(16)}, found 0x${event.found.toString(16)}`
			);
		case 'page-alloc':
			return `page alloc ${range(event.pfn * PAGE_SIZE, PAGE_SIZE * 2 ** event.order)} migratetype ${event.migratetype}`;
		case 'page-free':
			return `page free ${range(event.pfn * PAGE_SIZE, PAGE_SIZE * 2 ** event.order)}`;
	}
}
