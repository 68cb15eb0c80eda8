/** Traces of whole runs of real kernels, beside the checkout; too large to ship. */
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {RunResult} from '../../src/run-result.js';
import {vmsim} from '../helpers/cli.js';

const TRACES = fileURLToPath(new URL('../../../../shared/traces/', import.meta.url));

interface Expected {
	snapshots: number;
	/** Snapshots that the recorder read before a drain ran and marked after it, with the pages that moved meanwhile. */
	inexact: Record<string, number>;
	reported: number;
	bypassed: number;
}

const RECORDED: Readonly<Record<string, Expected>> = {
	'x86-w1': {snapshots: 15, inexact: {}, reported: 91, bypassed: 7},
	'x86-w3': {snapshots: 17, inexact: {}, reported: 116, bypassed: 10},
	'rv-r1': {snapshots: 15, inexact: {idle1: 195, 'a-deleted': 2016}, reported: 108, bypassed: 34},
};

for (const [name, expected] of Object.entries(RECORDED)) {
	const title = `${name} replays page for page: every snapshot, the final free set, the blocks that the device was given`;
	if (!existsSync(TRACES)) {
		test.skip(`${title} (the recorded traces are not here: ${TRACES})`, () => undefined);
		continue;
	}
	test(title, async (t) => {
		t.timeout(120_000);
		const file = (ending: string) => `${TRACES}${name}.${ending}`;
		const {code, stdout, stderr} = await vmsim([
			...['run', '--json', '-w', 'replay', '--mode', 'exact', '--trace', file('ftrace.txt.gz')],
			...['--kpageflags-start', file('kpf0.gz'), '--kpageflags-end', file('kpf1.gz')],
			...['--zoneinfo', file('console.txt'), '--reports', file('reports.txt')],
		]);
		t.is(code, 0, stderr);
		const {deterministic} = JSON.parse(stdout) as RunResult;
		const replay = deterministic.replay!;
		t.is(replay.snapshots.length, expected.snapshots);
		const inexact = replay.snapshots.filter(({exact}) => !exact);
		t.deepEqual(
			Object.fromEntries(inexact.map(({label, difference_pages: pages}) => [label, pages])),
			expected.inexact,
		);
		t.is(replay.final_free_set_difference_pages, 0);
		t.is(replay.mismatches, 0);
		t.is(replay.bypassed_frees, expected.bypassed);
		t.is(replay.recorded_reported_blocks, expected.reported);
		t.is(replay.reported_blocks, expected.reported);
		t.is(replay.reported_blocks_in_common, expected.reported);
		t.is(deterministic.integrity.failures, 0);
		t.true(deterministic.integrity.checked_pages > 100_000);
	});
}
