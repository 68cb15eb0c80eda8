/** /proc/meminfo, in kB. Linux 6.12 fs/proc/meminfo.c; what does not exist here reads 0. */
import type {Memory} from '../mm/memory.js';

const KB_PER_PAGE = 4;

export function meminfo(memory: Memory): string {
	const anon = memory.zones.reduce((sum, zone) => sum + zone.nrActiveAnon, 0);
	const cached = memory.pageCache.nrPages;
	const total = memory.totalPages();
	const pages: readonly (readonly [string, number])[] = [
		['MemTotal', total],
		['MemFree', memory.totalFreePages()],
		['MemAvailable', memory.availablePages()],
		['Buffers', 0],
		['Cached', cached],
		['SwapCached', 0],
		['Active', anon],
		['Inactive', cached],
		['Active(anon)', anon],
		['Inactive(anon)', 0],
		['Active(file)', 0],
		['Inactive(file)', cached],
		['Unevictable', 0],
		['Mlocked', 0],
		['SwapTotal', 0],
		['SwapFree', 0],
		['Dirty', 0],
		['Writeback', 0],
		['AnonPages', anon],
		['Mapped', 0],
		['Shmem', 0],
		['KReclaimable', 0],
		['Slab', 0],
		['SReclaimable', 0],
		['SUnreclaim', 0],
		['KernelStack', 0],
		['PageTables', 0],
		['SecPageTables', 0],
		['NFS_Unstable', 0],
		['Bounce', 0],
		['WritebackTmp', 0],
		// overcommit_ratio 50, no swap
		['CommitLimit', Math.floor(total / 2)],
		['Committed_AS', anon],
		['VmallocTotal', 0],
		['VmallocUsed', 0],
		['VmallocChunk', 0],
		['Percpu', 0],
		['AnonHugePages', 0],
		['ShmemHugePages', 0],
		['ShmemPmdMapped', 0],
		['FileHugePages', 0],
		['FilePmdMapped', 0],
	];
	return pages
		.map(([name, count]) => `${`${name}:`.padEnd(16)}${String(count * KB_PER_PAGE).padStart(8)} kB\n`)
		.join('');
}
