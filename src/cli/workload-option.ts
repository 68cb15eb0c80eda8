/** `--workload NAME,key=value,...`: the workloads and their options, with the sizes that the guest's memory allows. */
import type {WorkloadConfig} from '../config.js';
import {KiB, MiB, NS_PER_S} from '../units.js';
import {
	readChoice,
	readDuration,
	readInteger,
	readKeyed,
	readShare,
	readSize,
	type KeyReaders,
} from './values.js';

/** memhog takes this share of the guest's memory unless told otherwise: 3 of 4 GiB. */
const MEMHOG_SHARE = 0.75;

type Readers = KeyReaders<Record<string, string | number | boolean>>;

const WORKLOADS = ['memhog', 'page-fault', 'churn', 'replay'] as const;

function readersOf(name: (typeof WORKLOADS)[number], guestMemBytes: number): Readers {
	const size = (label: string, value: string) =>
		readSize(label, value, {min: 2 * MiB, max: guestMemBytes, multiple: 4 * KiB});
	const time = (label: string, value: string) => readDuration(label, value, 0, 24 * 3600 * NS_PER_S);
	const pages = (label: string, value: string) => readChoice(label, value, ['4k', '2m'] as const);
	switch (name) {
		case 'memhog':
			return {sizeBytes: size, holdNs: time, pages};
		case 'page-fault':
			return {sizeBytes: size, iterations: (label, value) => readInteger(label, value, 1, 1e9), pages};
		case 'churn':
			return {operations: (label, value) => readInteger(label, value, 1, 1e9), share: readShare};
		case 'replay':
			return {};
	}
}

function defaultsOf(name: (typeof WORKLOADS)[number], guestMemBytes: number): WorkloadConfig['options'] {
	switch (name) {
		case 'memhog':
			return {
				sizeBytes: Math.floor((guestMemBytes * MEMHOG_SHARE) / MiB) * MiB,
				holdNs: NS_PER_S,
				pages: '4k',
			};
		case 'page-fault':
			return {sizeBytes: Math.min(128 * MiB, guestMemBytes / 2), iterations: 20, pages: '2m'};
		case 'churn':
			return {operations: 200_000, share: 0.5};
		case 'replay':
			return {};
	}
}

export function readWorkload(flag: string, text: string, guestMemBytes: number): WorkloadConfig {
	const [first, ...rest] = text.split(',');
	const name = readChoice(flag, first!, WORKLOADS);
	const given = readKeyed(flag, rest.join(','), readersOf(name, guestMemBytes)) as WorkloadConfig['options'];
	return {name, options: {...defaultsOf(name, guestMemBytes), ...given}};
}
