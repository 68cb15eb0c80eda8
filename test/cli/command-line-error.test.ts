/** Mistakes in the shape of a command line: what is said of them, and where the reader is sent. */
import test from 'ava';
import {vmsim} from '../helpers/cli.js';

const MISTAKES: readonly (readonly [args: string, message: string, help: string])[] = [
	['', 'which command?', 'vmsim --help'],
	[
		'foo',
		'unknown command "foo"; known: run, inspect, check, conformance, replay, report, compare, explore, export, wireshark',
		'vmsim --help',
	],
	['exprot x', 'unknown command "exprot"; did you mean export?', 'vmsim --help'],
	['run --guest-men 1G', 'unknown flag --guest-men; did you mean --guest-mem?', 'vmsim run --help'],
	['run --guest-men=1G', 'unknown flag --guest-men; did you mean --guest-mem?', 'vmsim run --help'],
	['run -qz', 'unknown flag -z', 'vmsim run --help'],
	[
		'compare --nothing --sed 3',
		'unknown flag --nothing; unknown flag --sed; did you mean --seed?',
		'vmsim compare --help',
	],
	['run 4G', 'unexpected "4G"', 'vmsim run --help'],
	['run -m', '-m needs a value', 'vmsim run --help'],
	['inspect', 'inspect needs <file> (a capture, or - for standard input)', 'vmsim inspect --help'],
	['report x', 'report needs --output', 'vmsim report --help'],
	['check --format xml x', '--format "xml" is not one of text, ndjson', 'vmsim check --help'],
];

test('a mistake in the shape of a command line names what was meant, and the help of its command', async (t) => {
	await Promise.all(
		MISTAKES.map(async ([args, message, help]) => {
			// The system's language changes nothing.
			const env = {LC_ALL: 'de_DE.UTF-8'};
			const {code, stdout, stderr} = await vmsim(args === '' ? [] : args.split(' '), {env});
			t.is(stderr, `vmsim: ${message}\nTry '${help}'.\n`);
			t.is(code, 2, args);
			t.is(stdout, '', args);
		}),
	);
});

test('a message that says itself what is legal sends nobody elsewhere', async (t) => {
	for (const [args, message] of [
		['run -m 0', /^vmsim: --guest-mem "0" .*legal: 64M to 64G in steps of 2 MiB\n$/],
		['run --trace absent', /^vmsim: --trace belongs to --workload replay, and the workload is memhog\n$/],
		['run --kernel absent', /^vmsim: --kernel "absent" cannot be read: ENOENT.*\n$/],
		['run --initrd absent', /^vmsim: --initrd and --append want a --kernel\n$/],
		[
			'inspect absent --queue nope',
			/^vmsim: --queue "nope" is neither a queue's number nor one of inflateq, /,
		],
		[
			'explore --scenario foo',
			/^vmsim: --scenario "foo" is no scenario that comes with vmsim \(one-zone, two-zones-pairs, two-zones\); .*\n$/,
		],
	] as const) {
		const {code, stderr} = await vmsim(args.split(' '));
		t.is(code, 2, args);
		t.regex(stderr, message, args);
	}
});
