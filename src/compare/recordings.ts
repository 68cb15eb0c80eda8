/** Recordings of real kernels in a directory, by the names of their files: NAME.ftrace.txt.gz and what lies beside it. */
import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {UsageError} from '../errors.js';

const TRACE = /^(.+)\.ftrace\.txt(\.gz)?$/;

/** Flags of a replay and the endings of the files that they name, the first that is there. */
const COMPANIONS: Readonly<Record<string, readonly string[]>> = {
	'kpageflags-start': ['kpageflags-start.gz', 'kpf0.gz'],
	zoneinfo: ['zoneinfo.txt', 'console.txt'],
	reports: ['reports.txt'],
};

export interface Recording {
	readonly name: string;
	/** Flags for its replay, such as `--trace`. */
	readonly flags: readonly string[];
}

/** Every recording of the directory, by name. Throws UsageError if there is none. */
export function findRecordings(label: string, directory: string): Recording[] {
	let files: string[];
	try {
		files = readdirSync(directory).sort();
	} catch (error) {
		throw new UsageError(`${label} ${JSON.stringify(directory)}: ${(error as Error).message}`, {}, error);
	}
	const recordings = files.flatMap((file) => {
		const name = TRACE.exec(file)?.[1];
		return name === undefined ? [] : [{name, flags: replayFlags(directory, file, name)}];
	});
	if (recordings.length === 0) {
		throw new UsageError(`${label} ${JSON.stringify(directory)} holds no file named NAME.ftrace.txt.gz`);
	}
	return recordings;
}

function replayFlags(directory: string, file: string, name: string): string[] {
	const flags = ['--workload', 'replay', '--trace', join(directory, file)];
	for (const [flag, endings] of Object.entries(COMPANIONS)) {
		const path = endings.map((ending) => join(directory, `${name}.${ending}`)).find((at) => existsSync(at));
		if (path !== undefined) {
			flags.push(`--${flag}`, path);
		}
	}
	return flags;
}
