/**
 * `npm run golden [-- --case PATTERN] [--target MODULE] [--record] [--docs]`: plays the golden cases on our device and,
 * where release 7.2 is installed, on QEMU's, and compares with what is recorded. Exit 1 for an outcome that is not the
 * recorded one, 2 for bad input. `--target` plays those that are for a device of yours on it instead, and compares with
 * QEMU's record and ours: exit 1 for an outcome that is neither. `--record` writes QEMU's outcomes anew; `--docs` only
 * writes docs/golden-cases.md.
 */
import {readFileSync, writeFileSync} from 'node:fs';
import prettier from 'prettier';
import {UsageError} from '../src/errors.js';
import {offerOf} from '../src/conformance/golden/applicability.js';
import {expectedOfOurs, type GoldenCase, type GoldenOutcome} from '../src/conformance/golden/case.js';
import {goldenDocument} from '../src/conformance/golden/document.js';
import {GOLDEN_FOLDER, loadGolden} from '../src/conformance/golden/files.js';
import {differingFields} from '../src/conformance/golden/judge.js';
import {playGolden} from '../src/conformance/golden/player.js';
import {
	builtinGoldenTarget,
	goldenTarget,
	qemuGoldenTarget,
	type GoldenTarget,
} from '../src/conformance/golden/targets.js';
import {
	goldenHead,
	goldenRows,
	goldenSummary,
	judgeGolden,
	type GoldenVerdict,
} from '../src/conformance/golden/verdict.js';
import {openTarget} from '../src/conformance/targets/open.js';
import {qemuVersion} from '../src/qemu/process.js';
import {runScript} from './command.js';

/** The release whose outcomes are recorded. */
const RELEASE = '7.2.';
const DOCUMENT = new URL('../../docs/golden-cases.md', import.meta.url);
const INTRODUCTION = new URL('introduction.md', GOLDEN_FOLDER);

function selectCases(cases: readonly GoldenCase[], pattern: string): GoldenCase[] {
	const [before, after] = pattern.split('*', 2) as [string, string?];
	const selected = cases.filter(({id}) =>
		after === undefined ? id === before : id.startsWith(before) && id.endsWith(after),
	);
	if (selected.length === 0) {
		throw new UsageError(`--case ${pattern}: legal are ${cases.map(({id}) => id).join(', ')}`);
	}
	return selected;
}

/** "equal", or the fields that are not as expected, each with what is. */
async function compare(
	one: GoldenCase,
	target: GoldenTarget,
	expected: GoldenOutcome | undefined,
): Promise<string> {
	const show = (value: string | readonly string[] | undefined) => [value ?? 'nothing'].flat().join(', ');
	const fields = Object.entries(differingFields(await playGolden(one, target), expected)).map(
		([name, value]) => `${name} ${show(value)} (recorded ${show(expected?.[name as keyof GoldenOutcome])})`,
	);
	return fields.length === 0 ? 'equal' : `NOT AS RECORDED: ${fields.join('; ')}`;
}

async function play(cases: readonly GoldenCase[], withQemu: boolean): Promise<number> {
	let wrong = 0;
	console.log('| case | QEMU | ours |\n|---|---|---|');
	for (const one of cases) {
		const theirs = withQemu ? await compare(one, qemuGoldenTarget, one.qemu) : 'not played';
		const ours = await compare(one, builtinGoldenTarget, expectedOfOurs(one));
		const isAsRecorded = ours === 'equal' && ['equal', 'not played'].includes(theirs);
		wrong += isAsRecorded ? 0 : 1;
		const show = (outcome: string, good: string): string => (outcome === 'equal' ? good : outcome);
		const why = one.differs ? `differs: ${one.differs.because.join(', ')}` : 'equal';
		console.log(`| ${one.id} | ${show(theirs, 'as recorded')} | ${show(ours, why)} |`);
	}
	const differing = cases.filter(({differs}) => differs).length;
	console.log(
		`${cases.length} cases: ${cases.length - differing} equal, ${differing} different with a reason, ${wrong} not as recorded`,
	);
	await qemuGoldenTarget.close();
	return wrong > 0 ? 1 : 0;
}

/** Plays the cases that are for somebody's target. */
async function playOn(cases: readonly GoldenCase[], target: GoldenTarget): Promise<number> {
	const offer = await offerOf(target);
	const verdicts: GoldenVerdict[] = [];
	console.log(goldenHead(target.name));
	for (const one of cases) {
		const verdict = await judgeGolden(one, target, offer);
		verdicts.push(verdict);
		goldenRows(one, verdict).forEach((row) => console.log(row));
	}
	console.log(goldenSummary(verdicts));
	await target.close();
	return verdicts.some(({kind}) => kind === 'different' || kind === 'broken') ? 1 : 0;
}

/** Writes QEMU's outcome into the files, for the cases that are selected. */
async function record(selected: readonly GoldenCase[]): Promise<void> {
	const ids = new Set(selected.map(({id}) => id));
	for (const [name, file] of loadGolden().files) {
		const path = new URL(name, GOLDEN_FOLDER);
		const cases = [];
		for (const one of file.cases) {
			if (ids.has(one.id)) {
				const {differs, ...rest} = one;
				const qemu = await playGolden({...file.setup, ...one}, qemuGoldenTarget);
				cases.push({...rest, qemu, ...(differs && {differs})});
			} else {
				cases.push(one);
			}
		}
		const options = await prettier.resolveConfig(path);
		writeFileSync(
			path,
			await prettier.format(JSON.stringify({...file, cases}), {...options, parser: 'json'}),
		);
	}
	await qemuGoldenTarget.close();
}

function writeDocument(): void {
	writeFileSync(DOCUMENT, goldenDocument(loadGolden(), readFileSync(INTRODUCTION, 'utf8')));
}

await runScript(
	{
		name: 'golden',
		about:
			"Plays the golden cases (docs/golden-cases.md) on our device and, where release 7.2 is installed, on QEMU's.\n" +
			'Exit code 0: as recorded. 1: an outcome is not the recorded one. 2: bad input.',
		options: {
			case: {type: 'string', default: '*', value: 'PATTERN', describe: 'A case, or several: inflate.*'},
			target: {
				type: 'string',
				value: 'MODULE',
				describe: 'Play them on this device instead (exports createDevice), against what QEMU did',
			},
			record: {type: 'boolean', describe: "Write QEMU's outcomes anew"},
			docs: {type: 'boolean', describe: 'Only write docs/golden-cases.md'},
		},
	},
	async ({case: pattern, target, record: wantsRecord, docs}) => {
		const cases = selectCases(loadGolden().cases, pattern);
		const version = qemuVersion();
		const withQemu = version?.startsWith(RELEASE) ?? false;
		if (docs) {
			writeDocument();
			return 0;
		}
		if (wantsRecord) {
			if (!withQemu) {
				throw new UsageError(`--record: needs QEMU ${RELEASE}x, here is ${version ?? 'none'}`);
			}
			await record(cases);
			writeDocument();
			return 0;
		}
		return target === undefined
			? play(cases, withQemu)
			: playOn(cases, goldenTarget(await openTarget(target)));
	},
);
