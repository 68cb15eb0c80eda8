/** What a case says of a device that is neither QEMU's nor ours, and how it is shown. */
import {whyNotApplicable, type GoldenOffer} from './applicability.js';
import {expectedOfOurs, type GoldenCase, type GoldenOutcome} from './case.js';
import {differingFields} from './judge.js';
import {playGolden} from './player.js';
import type {GoldenTarget} from './targets.js';

/** `as vmsim`: not as QEMU, but as our device, which has a reason. `broken`: the device threw. */
export type GoldenVerdict =
	| {readonly kind: 'equal'}
	| {readonly kind: 'as vmsim' | 'different'; readonly outcome: GoldenOutcome}
	| {readonly kind: 'broken'; readonly reason: string}
	| {readonly kind: 'not applicable'; readonly reason: string};

const HEADINGS: Readonly<Record<GoldenVerdict['kind'], string>> = {
	equal: 'as QEMU',
	'as vmsim': 'as vmsim (which has a reason)',
	different: 'unlike both',
	broken: 'broken down',
	'not applicable': 'not applicable',
};

/** Plays a case on a fresh device of the target, where it is for one that has what `offer` says. */
export async function judgeGolden(
	one: GoldenCase,
	target: GoldenTarget,
	offer: GoldenOffer,
): Promise<GoldenVerdict> {
	const unfit = whyNotApplicable(one, offer);
	if (unfit !== undefined) {
		return {kind: 'not applicable', reason: unfit};
	}
	let outcome: GoldenOutcome;
	try {
		outcome = await playGolden(one, target);
	} catch (error) {
		return {kind: 'broken', reason: String(error)};
	}
	const isAs = (expected: GoldenOutcome | undefined): boolean =>
		Object.keys(differingFields(outcome, expected)).length === 0;
	if (isAs(one.qemu)) {
		return {kind: 'equal'};
	}
	return {kind: isAs(expectedOfOurs(one)) ? 'as vmsim' : 'different', outcome};
}

/** The head of the table whose rows goldenRows makes. */
export function goldenHead(target: string): string {
	return `| case | verdict | field | QEMU | vmsim | ${target} |\n|---|---|---|---|---|---|`;
}

/** A row of a Markdown table; for an outcome that is not QEMU's one for each field that differs. */
export function goldenRows(one: GoldenCase, verdict: GoldenVerdict): string[] {
	const row = (...cells: readonly string[]) =>
		`| ${[one.id, ...cells].map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
	switch (verdict.kind) {
		case 'equal':
			return [row('equal', '', '', '', '')];
		case 'broken':
			return [row(`broken down: ${verdict.reason}`, '', '', '', '')];
		case 'not applicable':
			return [row(`not applicable: ${verdict.reason}`, '', '', '', '')];
		case 'as vmsim':
		case 'different': {
			const why = verdict.kind === 'as vmsim' ? `as vmsim: ${one.differs!.because.join(', ')}` : 'different';
			return differences(one, verdict.outcome).map((cells) => row(why, ...cells));
		}
	}
}

/** The verdicts counted, and the reasons of those that were not played, in two lines. */
export function goldenSummary(verdicts: readonly GoldenVerdict[]): string {
	const count = (kind: string) => verdicts.filter((verdict) => verdict.kind === kind).length;
	const counts = Object.entries(HEADINGS).map(([kind, heading]) => `${count(kind)} ${heading}`);
	const reasons = new Map<string, number>();
	for (const verdict of verdicts) {
		if (verdict.kind === 'not applicable') {
			reasons.set(verdict.reason, (reasons.get(verdict.reason) ?? 0) + 1);
		}
	}
	const sorted = Array.from(reasons).sort(([, a], [, b]) => b - a);
	return [
		`${verdicts.length} cases: ${counts.join(', ')}`,
		...(sorted.length > 0
			? [`not applicable: ${sorted.map(([reason, cases]) => `${cases} because ${reason}`).join('; ')}`]
			: []),
	].join('\n');
}

/** Field by field: its name, and what QEMU, ours and the target say, where the target is not as both. */
function differences(one: GoldenCase, outcome: GoldenOutcome): string[][] {
	const ours = expectedOfOurs(one);
	const fields = {...differingFields(outcome, one.qemu), ...differingFields(outcome, ours)};
	return Object.keys(fields).flatMap((name) => {
		const [theirs, mine, yours] = [one.qemu, ours, outcome].map((from) =>
			entries(from?.[name as keyof GoldenOutcome]),
		) as [Entries, Entries, Entries];
		const length = Math.max(theirs.length, mine.length, yours.length);
		return Array.from({length}, (_, i) => [theirs[i], mine[i], yours[i]])
			.filter(([his, my, its]) => his !== its || my !== its)
			.map((cells) => [name, ...cells.map((cell) => cell ?? 'nothing')]);
	});
}

type Entries = readonly string[];

function entries(value: string | readonly string[] | undefined): Entries {
	return value === undefined ? [] : typeof value === 'string' ? [value] : value;
}
