import test from 'ava';
import {checkZones} from '../../../src/guest-kernel/mm/check.js';
import {formatSize, MiB, NS_PER_S} from '../../../src/units.js';
import {reportingBench} from '../../helpers/reporting-bench.js';

for (const [freeMiB, seconds, calls] of [
	[512, 4, 4],
	[1024, 8, 8],
	[2048, 16, 16],
	[4096, 22, 32],
	[16384, 30, 128],
	[32768, 32, 256],
] as const) {
	test(`an idle list of ${formatSize(freeMiB * MiB)} in blocks of order 10 is reported in ${seconds} s`, (t) => {
		// One list: DMA32 ends where this memory begins.
		const {memory, reporting, device, settle} = reportingBench(freeMiB, {
			present: [{startPfn: 0x10_0000, endPfn: 0x10_0000 + freeMiB * 256}],
		});
		reporting.register(device);
		settle();
		t.is(Math.round(reporting.stats.lastReportNs! / NS_PER_S), seconds);
		t.is(Math.round(reporting.stats.firstReportNs! / NS_PER_S), 2);
		t.is(reporting.stats.reportedBytes, freeMiB * MiB);
		t.is(memory.zones[0]!.freeArea.reportedPagesFrom(10), freeMiB * 256);
		t.is(reporting.state, 'IDLE');
		t.is(device.calls.length, calls);
		t.deepEqual(checkZones(memory.zones).problems, []);
	});
}
