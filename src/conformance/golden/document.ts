/** docs/golden-cases.md: every golden case with its bytes, and why ours differs where it does. */
import {
	goldenCases,
	type GoldenCase,
	type GoldenFile,
	type GoldenOutcome,
	type GoldenReason,
	type GoldenSetup,
} from './case.js';
import type {Golden} from './files.js';
import {PLACES} from './places.js';
import {STEP_FORMS} from './step.js';

const LONGEST_LINE = 100;

function code(text: string): string {
	return `\`${text}\``;
}

function lines(...texts: readonly string[]): string {
	return texts.join('<br>');
}

function outcome(fields: Partial<GoldenOutcome>): string {
	const {Status, InterruptStatus, line, generation, used, pages, seen = []} = fields;
	const state = [
		Status && `Status ${Status}`,
		InterruptStatus && `InterruptStatus ${InterruptStatus}`,
		line && `line ${line}`,
		generation && `generation ${generation}`,
	].filter(Boolean);
	return lines(
		...seen.map((text) => code(text)),
		...(used === undefined ? [] : [code(`used ${used}`)]),
		...(pages === undefined ? [] : [pages]),
		...(state.length > 0 ? [state.join(', ')] : []),
	);
}

function setup({stage, features, declined, queue, size, device}: GoldenSetup): string {
	const offered = Object.entries(device ?? {}).map(([name, value]) => `, ${name}=${value}`);
	const without = declined === undefined ? '' : `, declined ${declined}`;
	const rings = stage === 'queues' || stage === 'driver-ok' ? `, ${queue}, size ${size}` : '';
	return `${stage}, features ${features}${without}${rings}${offered.join('')}`;
}

function shorten(text: string): string {
	return text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE)}...` : text;
}

function row(file: GoldenFile, one: GoldenCase): string {
	const same = setup(one) === setup(file.setup);
	const ours = one.differs
		? lines(
				outcome(one.differs.ours),
				`because of ${one.differs.because.map((name) => `[${name}](#${name})`).join(', ')}`,
			)
		: 'equal';
	const cells = [
		lines(code(one.id), one.text, `(${one.clause})`),
		lines(...(same ? [] : [`*${setup(one)}*`]), ...one.input.map((text) => code(shorten(text)))),
		one.qemu ? outcome(one.qemu) : 'not recorded',
		ours,
	];
	return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function topic(file: GoldenFile): string[] {
	return [
		`## ${file.topic}`,
		'',
		`Set-up unless a case says otherwise: *${setup(file.setup)}*.`,
		'',
		'| case | input | QEMU 7.2 | ours |',
		'|---|---|---|---|',
		...goldenCases(file).map((one) => row(file, one)),
		'',
	];
}

function reason(name: string, {clause, text}: GoldenReason, cases: readonly GoldenCase[]): string[] {
	const ids = cases.filter(({differs}) => differs?.because.includes(name)).map(({id}) => code(id));
	return [`### ${name}`, '', `${text} (VIRTIO 1.4 ${clause})`, '', `In ${ids.join(', ')}.`, ''];
}

export function goldenDocument({files, cases, reasons}: Golden, introduction: string): string {
	const different = cases.filter(({differs}) => differs);
	return [
		'# Golden cases: what QEMU does where it is odd',
		'',
		'Made from `golden/*.json` and `golden/introduction.md` by `npm run golden -- --docs`; do not edit.',
		'',
		introduction.trim(),
		'',
		`${cases.length} cases: ours is equal in ${cases.length - different.length} and differs with a reason in ${different.length}.`,
		'',
		'## How to read a case',
		'',
		'| line of the input | what happens |',
		'|---|---|',
		...STEP_FORMS.map(([form, meaning]) => `| ${form} | ${meaning} |`),
		'',
		'Offsets, bytes and values of registers are hexadecimal; counts, numbers of pages and what the host says are decimal. The',
		'set-up before the input goes as far as its first word: `none` is a device as power-on leaves it, `features` has negotiated,',
		'`queues` has made all queues ready as well, `driver-ok` has set DRIVER_OK (VIRTIO 1.4 3.1.1, by the register writes of',
		'`ScriptedDriver.negotiate` and `setupQueue`). A page of the outcome was filled with 0xab, and is zero, kept or changed; the',
		'generation is how far ConfigGeneration went; the used ring is flags, idx and the elements written.',
		'',
		'The features of a set-up are the bits that the case needs: the device has to offer them, and the driver accepts them if it',
		'negotiates; bits that are `declined` have to be on offer, too, and are not accepted. What follows are the properties of the',
		"device under QEMU's names: `free-page-hint=off` is a device that does not offer the feature. QEMU numbers its queues by what",
		'it offers, so whoever wants its third or fourth queue accepts the features of those before it.',
		'',
		'Memory is 16 MiB from 0x80000000, and the places in it are',
		'',
		'| place | address | what is there |',
		'|---|---|---|',
		...PLACES.map(
			([name, address, meaning]) =>
				`| ${name.replaceAll('*', '')} | 0x${address.toString(16)} | ${meaning} |`,
		),
		'',
		...Array.from(files.values()).flatMap(topic),
		'## Why ours differs',
		'',
		...Array.from(reasons).flatMap(([name, one]) => reason(name, one, cases)),
	].join('\n');
}
