/** The command lines of the scripts that `npm run NAME` calls. */
import {spawnSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import test from 'ava';

const OPTIONS: Readonly<Record<string, readonly string[]>> = {
	golden: ['--case PATTERN', '--target MODULE', '--record', '--docs', '--help'],
	fuzz: [
		'--seconds N',
		'--operations N',
		'--seed S',
		'--target NAME',
		'--out FILE',
		'--replay FILE',
		'--help',
	],
	differential: ['--sequences N', '--seed S', '--out FILE', '--replay FILE', '--help'],
};

function script(name: string, ...args: string[]) {
	const path = fileURLToPath(new URL(`../../scripts/${name}.js`, import.meta.url));
	return spawnSync(process.execPath, [path, ...args], {encoding: 'utf8'});
}

for (const [name, options] of Object.entries(OPTIONS)) {
	test(`${name} --help lists its options; one that it does not have is exit code 2`, (t) => {
		const help = script(name, '--help');
		t.is(help.status, 0, help.stderr);
		const listed = [...help.stdout.matchAll(/^ {2}(--\S+(?: [A-Z]+)?) {2,}\S/gm)].map(([, flag]) => flag!);
		t.deepEqual(listed, options);
		t.regex(help.stdout, /Exit code 0: .* 1: .* 2: bad input/);

		const wrong = script(name, '--speed', '3');
		t.is(wrong.status, 2);
		t.is(wrong.stdout, '');
		t.regex(
			wrong.stderr,
			new RegExp(`^${name}: Unknown option '--speed'.*\nTry 'npm run ${name} -- --help'.\n$`),
		);
	});
}

for (const name of ['golden', 'fuzz']) {
	test(`${name}: a target that is none is refused before anything is printed`, (t) => {
		const {status, stdout, stderr} = script(name, '--target', 'nofile');
		t.is(status, 2);
		t.is(stdout, '');
		t.regex(stderr, new RegExp(`^${name}: --target "?nofile`));
	});
}

test('fuzz takes its options: so many operations, and a seed', (t) => {
	const {status, stdout} = script('fuzz', '--operations', '100', '--seed', '7', '--target', 'driver');
	t.is(status, 0);
	t.regex(stdout, /^fuzzing the driver, seed 7\n100 operations in 1 cases, .* seed 7: no violation\n$/);
});
