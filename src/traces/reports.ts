/** What a real device was given: one line a range, `time_s pfn(hex) order pages`; lines that begin with # are notes. */
import type {BlockRecord} from '../events.js';
import {UsageError} from '../errors.js';
import {readWhole} from './input.js';

export interface RecordedReport extends BlockRecord {
	/** Seconds on the recorder's clock. */
	timeS: number;
}

export function readReports(flag: string, path: string): RecordedReport[] {
	const reports: RecordedReport[] = [];
	readWhole(flag, path)
		.toString('latin1')
		.split('\n')
		.forEach((line, index) => {
			if (line === '' || line.startsWith('#')) {
				return;
			}
			const match = /^([0-9.]+) ([0-9a-f]+) (\d+) (\d+)\s*$/.exec(line);
			if (!match || Number(match[4]) !== 2 ** Number(match[3])) {
				throw new UsageError(
					`${flag} ${JSON.stringify(path)} line ${index + 1} is no report: wanted is "seconds pfn order pages"`,
					{flag, value: path},
				);
			}
			reports.push({timeS: Number(match[1]), pfn: parseInt(match[2]!, 16), order: Number(match[3])});
		});
	return reports;
}
