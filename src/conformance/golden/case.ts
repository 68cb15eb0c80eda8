/**
 * A golden case: input as bytes, and what QEMU 7.2 made of it. The cases are data (`golden/*.json`), one file per topic;
 * a file's `setup` holds for every case of it that does not say otherwise.
 */
import {UsageError} from '../../errors.js';
import type {QemuProperties} from '../../qemu/process.js';
import {BALLOON_QUEUES, type BalloonQueueName} from '../../virtio/balloon/spec.js';
import {parseStep} from './step.js';

/**
 * How far the player brings the device before the input: `none` leaves it as power-on does, `features` negotiates,
 * `queues` makes every queue ready, too, `driver-ok` sets DRIVER_OK.
 */
export const STAGES = ['none', 'features', 'queues', 'driver-ok'] as const;

export interface GoldenSetup {
	readonly stage: (typeof STAGES)[number];
	/** Feature bits that the case needs, hexadecimal: the device offers them, and the driver accepts them if it negotiates. */
	readonly features: string;
	/** Feature bits that the device has to offer, too, and that the driver does not accept. */
	readonly declined?: string;
	/** The queue whose used ring is part of the outcome. */
	readonly queue: BalloonQueueName;
	/** Descriptors in every queue. */
	readonly size: number;
	/** The balloon's properties under QEMU's names, over `free-page-reporting=on`. */
	readonly device?: QemuProperties;
}

/** What can be seen after the input. Numbers are hexadecimal, memory is bytes as they lie there. */
export interface GoldenOutcome {
	readonly Status: string;
	readonly InterruptStatus: string;
	/** The slot's interrupt line. */
	readonly line: 'high' | 'low';
	/** ConfigGeneration's way since the input began: `+1`. */
	readonly generation: string;
	/** The used ring of the case's queue: flags, idx, then the elements that were written, at most all. */
	readonly used?: string;
	/** The pages that the case names: `zero`, `kept` as they were before the input, or `changed`. */
	readonly pages?: string;
	/** What `read`, `look` and `host` said, in order. */
	readonly seen?: readonly string[];
}

export interface GoldenCase extends GoldenSetup {
	readonly id: string;
	/** What is done, for people. */
	readonly text: string;
	/** What it is about, in VIRTIO 1.4. */
	readonly clause: string;
	/** Pages that are filled with 0xab, and whose state is part of the outcome: `page0-3 page2047`. */
	readonly pages?: string;
	readonly input: readonly string[];
	readonly qemu?: GoldenOutcome;
	/** Where our outcome is another one: those of its fields, and the names of the reasons (`golden/reasons.json`). */
	readonly differs?: {readonly ours: Partial<GoldenOutcome>; readonly because: readonly string[]};
}

/** Why we do not do as QEMU does. */
export interface GoldenReason {
	readonly clause: string;
	readonly text: string;
}

export interface GoldenFile {
	readonly format: 'vmsim-golden';
	readonly version: 1;
	readonly topic: string;
	readonly setup: GoldenSetup;
	readonly cases: readonly (Partial<GoldenSetup> & Omit<GoldenCase, keyof GoldenSetup>)[];
}

/** Reads a file of cases. Throws UsageError that names file and case for what is none. */
export function parseGoldenFile(name: string, text: string): GoldenFile {
	let file: GoldenFile;
	try {
		file = JSON.parse(text) as GoldenFile;
	} catch (error) {
		throw new UsageError(`${name}: no JSON (${(error as Error).message})`, {}, error);
	}
	if (file.format !== 'vmsim-golden' || file.version !== 1 || !file.topic || !Array.isArray(file.cases)) {
		throw new UsageError(
			`${name}: legal is {"format": "vmsim-golden", "version": 1, "topic", "setup", "cases"}`,
		);
	}
	for (const one of goldenCases(file)) {
		check(name, one);
	}
	return file;
}

/** The cases of a file, each with its whole set-up. */
export function goldenCases(file: GoldenFile): GoldenCase[] {
	return file.cases.map((one) => ({...file.setup, ...one}));
}

/** Feature bits in the form of the files, bit n of the bigint is feature n. */
export function parseFeatures(text: string): bigint {
	return BigInt(`0x${text}`);
}

/** What we have to do: QEMU's outcome, but for the fields that differ with a reason. */
export function expectedOfOurs({qemu, differs}: GoldenCase): GoldenOutcome | undefined {
	return qemu && {...qemu, ...differs?.ours};
}

function check(file: string, one: GoldenCase): void {
	const refuse = (what: string, legal: string): never => {
		throw new UsageError(`${file}: case ${one.id ?? JSON.stringify(one)}: ${what}: ${legal}`);
	};
	for (const field of ['id', 'text', 'clause'] as const) {
		if (typeof one[field] !== 'string' || one[field] === '') {
			refuse(field, 'legal is a text');
		}
	}
	if (!STAGES.includes(one.stage)) {
		refuse(`stage "${one.stage}"`, `legal are ${STAGES.join(', ')}`);
	}
	if (!BALLOON_QUEUES.some(({name}) => name === one.queue)) {
		refuse(`queue "${one.queue}"`, `legal are ${BALLOON_QUEUES.map(({name}) => name).join(', ')}`);
	}
	for (const field of ['features', 'declined'] as const) {
		if (!/^[0-9a-f]+$/.test(one[field] ?? '0')) {
			refuse(`${field} "${one[field]}"`, 'legal is a hexadecimal number');
		}
	}
	if (!Number.isInteger(one.size) || one.size < 1 || one.size > 1024) {
		refuse(`size ${one.size}`, 'legal are 1 to 1024');
	}
	if (!Array.isArray(one.input)) {
		refuse('input', 'legal is a list of lines');
	}
	for (const line of one.input) {
		try {
			parseStep(line);
		} catch (error) {
			refuse('input', (error as Error).message);
		}
	}
}
