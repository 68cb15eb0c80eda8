/** docs/spec-map.md: everything that the specification says in scope, and what judges it. */
import type {Check} from './check.js';
import type {Requirement, RequirementLevel} from './requirements/requirement.js';
import {clausesOf, requirementsOf, selectChecks} from './runner.js';

const LEVELS: readonly RequirementLevel[] = ['MUST', 'SHOULD', 'MAY', 'layout'];

/** The checks that judge a row: those that it names, or those of the same id. */
export function checksOf({id, party, checks: named}: Requirement, checks: readonly Check[]): string[] {
	const patterns = named ?? (party === 'device' ? [id] : []);
	return patterns.flatMap((pattern) => selectChecks(checks, pattern)).map((check) => check.id);
}

function how(requirement: Requirement, checks: readonly Check[]): string {
	const parts = [
		...checksOf(requirement, checks).map((id) => `check \`${id}\``),
		...(requirement.rules ?? []).map((id) => `rule \`${id}\``),
		...(requirement.test === undefined ? [] : [`driver test "${requirement.test}"`]),
	];
	return parts.length > 0 ? parts.join(', ') : `not judged: ${requirement.why}`;
}

/** `mutants`: the broken devices that prove the checks. */
export function specMap(
	requirements: readonly Requirement[],
	checks: readonly Check[],
	mutants: number,
): string {
	const counts = LEVELS.map((level) => {
		const all = requirements.filter((requirement) => requirement.level === level);
		const judged = all.filter(({why}) => why === undefined);
		return `| ${level} | ${all.length} | ${judged.length} | ${all.length - judged.length} |`;
	});
	return [
		'# What the specification demands, and what judges it',
		'',
		'Made from `src/conformance/requirements/` and the checks by `node dist/scripts/spec-map.js`; do not edit.',
		'Clauses are those of VIRTIO 1.4. A *check* is one of `vmsim conformance`, a *rule* one of `vmsim check`, a *driver',
		'test* one of `test/conformance/virtio-driver.test.ts`, `test/guest-kernel/balloon-driver.test.ts` and',
		'`test/guest-kernel/virtqueue.test.ts`, by how its title begins. *Layout* is what no sentence demands and without which',
		'the two sides do not understand each other.',
		'',
		'Counted from the tables:',
		'',
		'| level | rows | judged | not judged, with the reason |',
		'|---|---|---|---|',
		...counts,
		'',
		`The kit has ${checks.length} checks of ${requirementsOf(checks)} rows in ${clausesOf(checks)} clauses. ${mutants} broken devices, one defect each,`,
		'prove that every check can fail (`test/conformance/mutants/`).',
		'',
		'| id | clause | level | of the | text | judged by |',
		'|---|---|---|---|---|---|',
		...requirements.map(
			(row) =>
				`| ${row.id} | ${row.clause} | ${row.level} | ${row.party} | ${row.text} | ${how(row, checks)} |`,
		),
		'',
		'## What the specification gets wrong',
		'',
		'| clause | what it says | what the kit and the device do |',
		'|---|---|---|',
		...DEFECTS.map((cells) => `| ${cells.join(' | ')} |`),
		'',
	].join('\n');
}

/** Known defects of the text of VIRTIO 1.4. */
const DEFECTS: readonly (readonly [clause: string, says: string, done: string])[] = [
	[
		'5.5.6.3.1',
		'a statistics buffer is a multiple of 6 bytes; its entries have 10',
		'rule `stats-length` asks the driver for whole entries of 10; `BAL-33` accepts a cut-off one at the end',
	],
	[
		'5.5.2',
		'queue numbers are fixed; Linux, QEMU and others number only the queues that exist',
		'a target says which numbering it has (`queueNumbering`); consecutive is the default, and our device and driver know both',
	],
	[
		'5.5.6.1',
		'no use of balloon pages when num_pages <= actual, beside a permission to use them when num_pages < actual (virtio-spec issue 228)',
		'read as: never below the target. Our driver keeps to it (BAL-12); no check of a device depends on it',
	],
	[
		'5.5.3',
		'PAGE_POISON is called a hint, and has demands (issue 240)',
		'`BAL-75` takes the demand: contents change to poison_val only',
	],
	[
		'5.5.6.7',
		'what the used length of a report means is not said (issues 242 and 244)',
		'`SPLIT-32.report` asks only that it is no more than was offered; our device returns 0, as QEMU does',
	],
	[
		'5.5.6.2',
		'a device may free pages, nothing says that it must',
		'no check fails for a device that frees nothing (a variant in `test/conformance/variants.ts`); what changes, when and where is judged',
	],
	[
		'2.7.2',
		'the legacy ALIGN macro prints (x+qalign)&~qalign, where qalign is the alignment less 1',
		'the legacy interface is out of scope',
	],
];
