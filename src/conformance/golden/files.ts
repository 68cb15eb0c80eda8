/** The golden cases on disk: one file per topic and the reasons for differences, in `golden/`. */
import {readFileSync, readdirSync} from 'node:fs';
import {UsageError} from '../../errors.js';
import {goldenCases, parseGoldenFile, type GoldenCase, type GoldenFile, type GoldenReason} from './case.js';

export const GOLDEN_FOLDER = new URL('../../../../golden/', import.meta.url);
const REASONS = 'reasons.json';

export interface Golden {
	/** By file name. */
	readonly files: ReadonlyMap<string, GoldenFile>;
	/** All of them, in the files' order. */
	readonly cases: readonly GoldenCase[];
	/** By name. */
	readonly reasons: ReadonlyMap<string, GoldenReason>;
}

/** Throws UsageError for what is no file of cases, an id that comes twice, or a reason that nobody gave. */
export function loadGolden(folder: URL = GOLDEN_FOLDER): Golden {
	const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
	const names = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== REASONS);
	const files = new Map(names.sort().map((name) => [name, parseGoldenFile(name, read(name))]));
	const reasons = new Map(Object.entries(JSON.parse(read(REASONS)) as Record<string, GoldenReason>));
	const cases = Array.from(files.values()).flatMap(goldenCases);
	const ids = new Set<string>();
	for (const {id, differs} of cases) {
		if (ids.has(id)) {
			throw new UsageError(`golden case ${id} is there twice`);
		}
		ids.add(id);
		const unknown = differs?.because.find((name) => !reasons.has(name));
		if (unknown !== undefined || differs?.because.length === 0) {
			throw new UsageError(`golden case ${id} differs for "${unknown}": legal are the names in ${REASONS}`);
		}
	}
	return {files, cases, reasons};
}
