import test from 'ava';
import {twoZones, type TwoZonesResult} from '../../src/scenario/two-zones.js';
import {NS_PER_MS, NS_PER_S} from '../../src/units.js';

/** The calls as `16 Normal` each. */
function calls({calls: all}: TwoZonesResult): string[] {
	return all.map(({zone, blocks}) => `${blocks} ${zone}`);
}

const atOnce = (t: {true(value: boolean): unknown}, result: TwoZonesResult) =>
	t.true(result.drain_ns < NS_PER_MS);

test('bitmap-v12 reports 64 of 128 at once; 32 in each zone stay behind, with their bits set and refcnt 0', (t) => {
	const result = twoZones('bitmap-v12');
	t.is(result.freed_blocks, 128);
	t.is(result.reported_blocks, 64);
	t.is(result.stuck_blocks, 64);
	t.is(result.refcnt, 0);
	t.deepEqual(result.bits_left, {DMA32: 32, Normal: 32});
	t.deepEqual(calls(result), Array(4).fill('16 Normal'));
	atOnce(t, result);
});

for (const [zone, expected] of [
	['DMA32', ['16 DMA32', '16 DMA32', '1 DMA32', '16 Normal', '16 Normal']],
	['Normal', ['16 DMA32', '16 DMA32', '16 Normal', '16 Normal', '1 Normal']],
] as const) {
	test(`bitmap-v12: one more free in ${zone} repairs both zones, 129 in 4 and 5 calls`, (t) => {
		const result = twoZones('bitmap-v12', {oneMoreFreeIn: zone});
		t.is(result.reported_blocks, 129);
		t.is(result.stuck_blocks, 0);
		t.deepEqual(calls(result).slice(4), [...expected]);
	});
}

test('bitmap-v12 with fewer late blocks than the threshold: the one more free repairs nothing', (t) => {
	const result = twoZones('bitmap-v12', {late: 8, oneMoreFreeIn: 'DMA32'});
	t.is(result.freed_blocks, 81);
	t.is(result.stuck_blocks, 17);
	t.deepEqual(result.bits_left, {DMA32: 9, Normal: 8});
});

for (const design of [
	'bitmap-v12-per-zone,flag=before',
	'bitmap-v12-per-zone,flag=after,recheck=on',
	'bitmap-v12-swap',
	'bitmap-v12-fetch-inc',
	'bitmap-v12,recheck=on',
]) {
	test(`${design} reports all 128 at once in 8 calls of 16`, (t) => {
		const result = twoZones(design);
		t.is(result.reported_blocks, 128);
		t.is(result.stuck_blocks, 0);
		t.is(result.refcnt, 0);
		t.deepEqual(
			result.calls.map(({blocks}) => blocks),
			Array(8).fill(16),
		);
		t.deepEqual(result.problems, []);
		atOnce(t, result);
	});
}

test('bitmap-v12-per-zone with the flag cleared after an unchecked scan rescues DMA32 and loses Normal’s late 32', (t) => {
	const result = twoZones('bitmap-v12-per-zone,flag=after');
	t.is(result.reported_blocks, 96);
	t.is(result.stuck_blocks, 32);
	t.deepEqual(result.bits_left, {DMA32: 0, Normal: 32});
	t.deepEqual(calls(result), [...Array(4).fill('16 Normal'), ...Array(2).fill('16 DMA32')]);
	atOnce(t, result);
});

test('mainline reports 64 at 2 s and the late 64 at 4 s, in 2 and 2 calls', (t) => {
	const result = twoZones('mainline');
	t.is(result.reported_blocks, 128);
	t.is(result.stuck_blocks, 0);
	t.deepEqual(calls(result), ['32 Normal', '32 Normal', '32 DMA32', '32 Normal']);
	t.deepEqual(
		result.calls.map(({at_ns: atNs}) => Math.floor(atNs / NS_PER_S)),
		[2, 2, 4, 4],
	);
});

test('off reports nothing, so nothing is freed late and everything stays with the guest', (t) => {
	const result = twoZones('off');
	t.is(result.freed_blocks, 64);
	t.is(result.stuck_blocks, 64);
	t.is(result.report_calls, 0);
});

test('what stays behind is what the residual bytes say', (t) => {
	for (const design of ['bitmap-v12', 'bitmap-v12-per-zone,flag=after', 'bitmap-v12-swap']) {
		const result = twoZones(design);
		t.is(result.residual_bytes, result.stuck_blocks * 2 * 1024 * 1024, design);
	}
});
