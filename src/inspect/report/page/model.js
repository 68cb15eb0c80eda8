/* The data of the page, and words for its numbers. */

const model = JSON.parse(document.getElementById('model').textContent);

const STATES = [
	{letter: 'h', name: 'no memory', color: '--s-hole'},
	{letter: 'u', name: 'used', color: '--s-used'},
	{letter: 'm', name: 'partly free', color: '--s-mixed'},
	{letter: 'f', name: 'free', color: '--s-free'},
	{letter: 'r', name: 'free and reported', color: '--s-reported'},
	{letter: 'i', name: 'in flight', color: '--s-inflight'},
	{letter: 'b', name: 'in the balloon', color: '--s-ballooned'},
];
const IN_FLIGHT = 5;
const PAGE_SIZE = 4096;

/** `u12f3` as one byte a pageblock. */
function expand(runs, count) {
	const states = new Uint8Array(count);
	let at = 0;
	for (const [, letter, length] of runs.matchAll(/([a-z])(\d+)/g)) {
		states.fill(
			STATES.findIndex((state) => state.letter === letter),
			at,
			at + Number(length),
		);
		at += Number(length);
	}
	return states;
}

const samples = model.pageblocks
	? model.samples.map(([timeNs, runs]) => ({timeNs, states: expand(runs, model.pageblocks.count)}))
	: [];

/** The last entry of a list ordered by time that is not later; -1 if there is none. */
function lastAt(list, timeNs, timeOf) {
	let low = 0;
	let high = list.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (timeOf(list[middle]) <= timeNs) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low - 1;
}

function formatBytes(bytes) {
	let value = Math.abs(bytes);
	for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
		if (value < 1024) {
			return `${Number.isInteger(value) ? value : value.toFixed(1)} ${unit}`;
		}
		value /= 1024;
	}
	return `${value.toFixed(1)} TiB`;
}

function formatNs(ns) {
	if (ns < 1e3) {
		return `${Math.round(ns)} ns`;
	}
	if (ns < 1e6) {
		return `${(ns / 1e3).toFixed(1)} us`;
	}
	return ns < 1e9 ? `${(ns / 1e6).toFixed(1)} ms` : `${(ns / 1e9).toFixed(3)} s`;
}

function formatTime(ns) {
	return `${(ns / 1e9).toFixed(9)} s`;
}

function hex(value) {
	return `0x${value.toString(16)}`;
}

/** Bytes of a chain's buffers; a descriptor that refers to a table (flag 4) is none. */
function chainBytes(chain) {
	return chain.descriptors.reduce((sum, [, , len, flags]) => sum + (flags & 4 ? 0 : len), 0);
}

/** When the driver began to wait: its notification, or the moment at which the device took the chain. */
function beganAt(chain) {
	return chain.kickNs ?? chain.availNs;
}

function chainFreed(chain) {
	return chain.discards.reduce((sum, [, , , , freed]) => sum + freed, 0);
}

function laneName(index) {
	const {name, queue} = model.lanes[index];
	return name || `queue ${queue}`;
}

/** Pageblocks that the buffers of a chain lie in. */
function blocksOf(chain) {
	if (!model.pageblocks) {
		return [];
	}
	const {basePfn, order, count} = model.pageblocks;
	const size = PAGE_SIZE * 2 ** order;
	const blocks = [];
	for (const [, addr, len, flags] of chain.descriptors) {
		if (flags & 2 && !(flags & 4)) {
			const first = Math.floor((addr - basePfn * PAGE_SIZE) / size);
			const last = Math.floor((addr + len - 1 - basePfn * PAGE_SIZE) / size);
			for (let block = Math.max(0, first); block <= Math.min(last, count - 1); block++) {
				blocks.push(block);
			}
		}
	}
	return blocks;
}

const reportingLane = model.lanes.findIndex(({name}) => name === 'reporting_vq');
const reportingChains = model.chains.filter(({lane}) => lane === reportingLane);
