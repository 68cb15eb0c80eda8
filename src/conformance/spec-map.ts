/** docs/spec-map.md: every demand of the specification in scope, and what judges it. */
import type {Check} from './check.js';
import type {Requirement} from './requirements.js';

/** The checks that judge a requirement. */
export function checksOf(requirement: Requirement, checks: readonly Check[]): string[] {
	return requirement.party === 'driver'
		? []
		: checks.filter(({id}) => id.split('.')[0] === requirement.id).map(({id}) => id);
}

function how(requirement: Requirement, checks: readonly Check[]): string {
	const parts = [
		...checksOf(requirement, checks).map((id) => `check \`${id}\``),
		...(requirement.rules ?? []).map((id) => `rule \`${id}\``),
		...(requirement.test === undefined ? [] : [`driver test "${requirement.test}"`]),
	];
	return parts.length > 0 ? parts.join(', ') : `not judged: ${requirement.why}`;
}

export function specMap(requirements: readonly Requirement[], checks: readonly Check[]): string {
	const judged = requirements.filter((requirement) => requirement.why === undefined).length;
	const rows = requirements.map(
		(requirement) =>
			`| ${requirement.id} | ${requirement.clause} | ${requirement.party} | ${requirement.text} | ${how(requirement, checks)} |`,
	);
	const mapped = new Set(requirements.filter(({party}) => party === 'device').map(({id}) => id));
	const others = checks.filter(({id}) => !mapped.has(id.split('.')[0]!));
	return [
		'# What the specification demands, and what judges it',
		'',
		'Made from `src/conformance/requirements.ts` and the checks by `node dist/scripts/spec-map.js`; do not edit.',
		'Clauses are those of VIRTIO 1.4. A *check* is one of `vmsim conformance`, a *rule* one of `vmsim check`, a *driver',
		'test* one of `test/conformance/virtio-driver.test.ts` and `test/guest-kernel/balloon-driver.test.ts`, by how its title begins.',
		'',
		`${requirements.length} demands, ${judged} of them judged.`,
		'',
		'| id | clause | of the | demand | judged by |',
		'|---|---|---|---|---|',
		...rows,
		'',
		'## Checks of what is recommended, or only said',
		'',
		'| check | clause | level | text |',
		'|---|---|---|---|',
		...others.map(({id, clause, level, text}) => `| \`${id}\` | ${clause} | ${level} | ${text} |`),
		'',
	].join('\n');
}
