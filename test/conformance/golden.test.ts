/** Our device in QEMU's odd cases: the recorded outcome, or the recorded difference. */
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import test from 'ava';
import {createDevice} from '../../examples/own-device.js';
import {offerOf} from '../../src/conformance/golden/applicability.js';
import {expectedOfOurs, type GoldenCase, type GoldenOutcome} from '../../src/conformance/golden/case.js';
import {goldenDocument} from '../../src/conformance/golden/document.js';
import {GOLDEN_FOLDER, loadGolden} from '../../src/conformance/golden/files.js';
import {differingFields} from '../../src/conformance/golden/judge.js';
import {playGolden} from '../../src/conformance/golden/player.js';
import {parseStep} from '../../src/conformance/golden/step.js';
import {builtinGoldenTarget, goldenTarget, type GoldenTarget} from '../../src/conformance/golden/targets.js';
import {
	goldenRows,
	goldenSummary,
	judgeGolden,
	type GoldenVerdict,
} from '../../src/conformance/golden/verdict.js';
import {DeviceTarget} from '../../src/conformance/targets/device-target.js';
import {UsageError} from '../../src/errors.js';
import {builtinDevice} from '../../src/kit/builtin-device.js';
import {VirtioBalloon} from '../../src/virtio/balloon/balloon.js';
import {MMIO_REGISTERS} from '../../src/virtio/spec.js';

const golden = loadGolden();
const KIT = readFileSync(new URL('../docs/kit.md', GOLDEN_FOLDER), 'utf8');

for (const one of golden.cases) {
	test.serial(
		`golden ${one.id}: ${one.text}${one.differs ? ` (not as QEMU: ${one.differs.because.join(', ')})` : ''}`,
		async (t) => {
			t.deepEqual(await playGolden(one, builtinGoldenTarget), expectedOfOurs(one));
		},
	);
}

test('a recorded difference is one, field by field, and every reason is somebody’s', (t) => {
	const differing = golden.cases.filter(({differs}) => differs);
	for (const {id, qemu, differs} of differing) {
		const fields = differingFields({...qemu!, ...differs!.ours}, qemu);
		t.deepEqual(Object.keys(fields).sort(), Object.keys(differs!.ours).sort(), id);
	}
	const named = new Set(differing.flatMap(({differs}) => differs!.because));
	t.deepEqual(Array.from(golden.reasons.keys()).sort(), Array.from(named).sort());
});

test('docs/golden-cases.md is current (npm run golden -- --docs)', (t) => {
	const read = (url: URL): string => readFileSync(url, 'utf8');
	t.is(
		read(new URL('../docs/golden-cases.md', GOLDEN_FOLDER)),
		goldenDocument(golden, read(new URL('introduction.md', GOLDEN_FOLDER))),
	);
});

test('another byte of input is another outcome', async (t) => {
	const find = (id: string): GoldenCase => golden.cases.find((one) => one.id === id)!;
	const play = async (id: string, from: string, to: string): Promise<Partial<GoldenOutcome>> => {
		const one = find(id);
		const input = one.input.map((line) => line.replace(from, to));
		t.notDeepEqual(input, one.input);
		return differingFields(await playGolden({...one, input}, builtinGoldenTarget), expectedOfOurs(one));
	};
	// The second frame number; a descriptor's length; the head; the register.
	t.deepEqual(await play('inflate.three-pages', '01080800', '03080800'), {
		pages: 'page0 zero, page1 kept, page2-3 zero',
	});
	t.deepEqual(await play('reporting.half-page', '00020000', '00100000'), {pages: 'page0 zero'});
	t.deepEqual(await play('inflate.two-heads', '0500 0300', '0300 0500'), {
		used: '00000200 03000000 00000000 05000000 00000000',
	});
	t.deepEqual(await play('inflate.spurious-kick', 'InterruptACK = 1', 'InterruptACK = 2'), {
		InterruptStatus: '01',
		line: 'high',
	});
});

async function judgeAll(target: GoldenTarget): Promise<Map<string, GoldenVerdict>> {
	const offer = await offerOf(target);
	const verdicts = new Map<string, GoldenVerdict>();
	for (const one of golden.cases) {
		verdicts.set(one.id, await judgeGolden(one, target, offer));
	}
	return verdicts;
}

function rowsOf(id: string, verdict: GoldenVerdict): string[] {
	return goldenRows(
		golden.cases.find((one) => one.id === id)!,
		verdict,
	);
}

test('somebody else’s device is judged by the cases for which it has what they need', async (t) => {
	const verdicts = await judgeAll(goldenTarget(new DeviceTarget('own', createDevice)));
	const verdict = (id: string): GoldenVerdict => verdicts.get(id)!;
	// It has two queues and VERSION_1, which is all that these need.
	for (const id of ['inflate.three-pages', 'deflate.kept', 'ring.recovers', 'notification.batch']) {
		t.is(verdict(id)?.kind, 'equal', id);
	}
	// The specification's way, which is ours.
	t.is(verdict('queue.kick-features-ok').kind, 'as vmsim');
	t.deepEqual(rowsOf('host.balloon', verdict('host.balloon')), [
		'| host.balloon | as vmsim: config-bit | InterruptStatus | 03 | 02 | 02 |',
	]);
	// Neither QEMU's nor ours; only what differs is shown.
	t.deepEqual(rowsOf('registers.identity', verdict('registers.identity')), [
		'| registers.identity | different | seen | VendorID 554d4551 | VendorID 4d534d56 | VendorID 00000000 |',
	]);
	t.deepEqual(verdict('notification.event-1-1'), {
		kind: 'not applicable',
		reason: 'feature 29 is not offered',
	});
	t.deepEqual(verdict('indirect.not-negotiated'), {
		kind: 'not applicable',
		reason: 'feature 28 is not offered',
	});
	t.deepEqual(verdict('registers.actual'), {
		kind: 'not applicable',
		reason: 'the target cannot do query-balloon',
	});
	const [counts, reasons] = goldenSummary(Array.from(verdicts.values())).split('\n');
	const numbers = counts!.match(/\b\d+(?= )/g)!.map(Number);
	t.is(numbers[0], golden.cases.length);
	t.is(
		numbers.slice(1).reduce((sum, n) => sum + n),
		golden.cases.length,
	);
	t.true(KIT.includes(counts!), `docs/kit.md says otherwise: ${counts}`);
	t.regex(reasons!, /^not applicable: .*14 because feature 29 is not offered/);
});

test('our own device as somebody’s: as QEMU or as recorded of ours, where it offers what a case needs', async (t) => {
	const verdicts = await judgeAll(goldenTarget(new DeviceTarget('builtin', (parts) => builtinDevice(parts))));
	const strange = Array.from(verdicts).filter(([, {kind}]) => kind === 'different' || kind === 'broken');
	t.deepEqual(strange, []);
	t.deepEqual(verdicts.get('registers.config-no-poison'), {
		kind: 'not applicable',
		reason: 'feature 4 is offered',
	});
});

test('a device that numbers its queues otherwise is not asked for what is at another number', async (t) => {
	const verdicts = await judgeAll(
		goldenTarget(
			new DeviceTarget('gaps', (parts) => ({
				...builtinDevice(parts, new VirtioBalloon({queueNumbering: 'specification'})),
				queueNumbering: 'specification',
			})),
		),
	);
	t.is(verdicts.get('statistics.none')?.kind, 'equal');
	t.deepEqual(verdicts.get('reporting.half-page'), {
		kind: 'not applicable',
		reason: 'reporting_vq is queue 4, the case needs it as 3',
	});
});

test('a device that throws is broken down in that case, and the others are judged', async (t) => {
	const target = goldenTarget(
		new DeviceTarget('throws', (parts) => {
			const device = createDevice(parts);
			return {
				read: (offset, width) => device.read(offset, width),
				write(offset, width, value) {
					if (offset === MMIO_REGISTERS.QueueNotify.at && value > 8) {
						throw new Error('no such queue');
					}
					device.write(offset, width, value);
				},
			};
		}),
	);
	const verdicts = await judgeAll(target);
	t.deepEqual(rowsOf('queue.notify-absent', verdicts.get('queue.notify-absent')!), [
		'| queue.notify-absent | broken down: Error: no such queue |  |  |  |  |',
	]);
	t.is(verdicts.get('inflate.three-pages')?.kind, 'equal');
	t.deepEqual(verdicts.get('host.balloon'), {kind: 'not applicable', reason: 'the target cannot do balloon'});
});

test('an outcome that misses a field, or has one too many, is not the recorded one', (t) => {
	const recorded: GoldenOutcome = {
		Status: '0f',
		InterruptStatus: '00',
		line: 'low',
		generation: '+0',
		seen: ['a'],
	};
	t.deepEqual(differingFields(recorded, {...recorded}), {});
	t.deepEqual(differingFields(recorded, {...recorded, pages: 'page0 zero'}), {pages: undefined} as never);
	t.deepEqual(differingFields({...recorded, used: '00'}, recorded), {used: '00'});
	t.deepEqual(differingFields(recorded, {...recorded, seen: ['b']}), {seen: ['a']});
	t.deepEqual(differingFields(recorded, undefined), recorded);
});

test('a line of input means what it says', (t) => {
	t.deepEqual(parseStep('desc1+10: 0102 03 * 2'), {
		kind: 'memory',
		address: 0x8002_0010,
		bytes: Uint8Array.of(1, 2, 3, 1, 2, 3),
	});
	t.deepEqual(parseStep('config+4/1 = ff'), {kind: 'write', offset: 0x104, width: 1, value: 255});
	t.deepEqual(parseStep('read Status'), {kind: 'read', what: 'Status', offset: 0x70, width: 4});
	t.deepEqual(parseStep('look page2047:8'), {
		kind: 'look',
		what: 'page2047',
		address: 0x80ff_f000,
		sizeBytes: 8,
	});
	t.deepEqual(parseStep('host balloon 4097'), {kind: 'host', deed: 'balloon', value: 4097});
	t.deepEqual(parseStep('wait 20 ms'), {kind: 'wait', ms: 20});
	const wrong = [
		'desc: 00',
		'page0: 0',
		'Stats = 1',
		'Status',
		'read Status = 1',
		'host explode',
		'table0: 00',
	];
	for (const line of wrong) {
		t.throws(() => parseStep(line), {instanceOf: UsageError, message: /legal are/}, line);
	}
});

test('a folder with bad cases is refused, with the case and what is legal', (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'vmsim-golden-'));
	const url = pathToFileURL(`${folder}/`);
	const setup = {stage: 'driver-ok', features: '100000000', queue: 'inflateq', size: 8};
	const good = {id: 'a', text: 'A.', clause: '2', input: []};
	const load = (...cases: object[]) => {
		const file = {format: 'vmsim-golden', version: 1, topic: 'T', setup, cases};
		writeFileSync(join(folder, '1.json'), JSON.stringify(file));
		return loadGolden(url);
	};
	try {
		writeFileSync(join(folder, 'reasons.json'), '{}');
		t.is(load(good).cases.length, 1);
		const refused: [object[], RegExp][] = [
			[[good, good], /golden case a is there twice/],
			[[{...good, clause: ''}], /case a: clause: legal is a text/],
			[[{...good, stage: 'later'}], /stage "later": legal are none, features, queues, driver-ok/],
			[[{...good, queue: 'q'}], /queue "q": legal are inflateq/],
			[[{...good, declined: 'y'}], /declined "y": legal is a hexadecimal number/],
			[[{...good, features: 'x'}], /features "x": legal is a hexadecimal number/],
			[[{...good, size: 2000}], /size 2000: legal are 1 to 1024/],
			[[{...good, input: 'x'}], /input: legal is a list/],
			[[{...good, input: ['jump']}], /"jump" is no step/],
			[[{...good, differs: {ours: {}, because: ['whim']}}], /differs for "whim"/],
		];
		for (const [cases, message] of refused) {
			t.throws(() => load(...cases), {instanceOf: UsageError, message});
		}
		writeFileSync(join(folder, '1.json'), '{');
		t.throws(() => loadGolden(url), {instanceOf: UsageError, message: /1.json: no JSON/});
		writeFileSync(join(folder, '1.json'), '{}');
		t.throws(() => loadGolden(url), {instanceOf: UsageError, message: /vmsim-golden/});
	} finally {
		rmSync(folder, {recursive: true});
	}
});
