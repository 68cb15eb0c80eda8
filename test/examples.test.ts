/** The examples are programs that a reader will run: so do we. */
import {execFile} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';
import {vmsim} from './helpers/cli.js';

const run = promisify(execFile);

function pathOf(name: string): string {
	return fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url));
}

async function output(name: string, ...args: string[]): Promise<string> {
	return (await run(process.execPath, [pathOf(name), ...args])).stdout;
}

test('run-a-machine reports free pages and gives the frames back', async (t) => {
	const text = await output('run-a-machine');
	t.regex(text, /DMA32: \d+ blocks reported/);
	const [, before, peak, end] = /(\d+) before, (\d+) at the peak, (\d+) at the end/.exec(text)!.map(Number);
	t.true(peak! - before! >= 32_768);
	t.true(end! - before! < 8_192);
});

test('read-the-traffic shows descriptors as they lie in guest memory', async (t) => {
	const text = await output('read-the-traffic');
	t.regex(text, /reporting_vq head \d+: \d+ descriptors/);
	const [, address, bytes] = /0x([0-9a-f]{16})\s+\S+ MiB writable {2}([0-9a-f]{32})/.exec(text)!;
	t.is(Buffer.from(bytes!, 'hex').readBigUInt64LE(0), BigInt(`0x${address}`));
});

const IN_ORDER = 'discard, used, irq-line\nhead 0 came back with length 0, and the page reads zero\n';

test('test-a-device sees the discard before the completion, of our device and of one that it is pointed at', async (t) => {
	t.is(await output('test-a-device'), IN_ORDER);
	t.is(await output('test-a-device', pathOf('own-device')), IN_ORDER);
});

test('test-a-device fails for a device that completes before it discards', async (t) => {
	const {code, stderr} = await t.throwsAsync<Error & {code: number; stderr: string}>(
		output('test-a-device', pathOf('broken-device')),
	);
	t.is(code, 1);
	const line = 'FAILED: it did used, irq-line, discard; discard comes first, irq-line last';
	t.is(stderr, `${line}\n`);
	t.true(DOCS.includes(`\`${line}\``));
});

test('test-a-driver finds both drivers in keeping with every clause', async (t) => {
	const lines = (await output('test-a-driver')).trimEnd().split('\n');
	t.deepEqual(
		lines.map((line) => line.split(/ +/).slice(0, 2).join(' ')),
		['3.1.1', '3.1.1', '2.7.13.1', '5.5.6.1', '2.7.14', '2.7.8.3', '2.7.8', '2.7.7.1', '5.5.6.1'].map(
			(clause) => `ok ${clause}`,
		),
	);
});

test('reproduce-a-capture shows the bug on the broken device and its absence on the mended one', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'vmsim-examples-'));
	t.teardown(() => rmSync(folder, {recursive: true}));
	const capture = join(folder, 'broken.pcapng');
	const text = await output('reproduce-a-capture', capture);
	t.regex(text, /^the capture: frame \d+: completion-before-discard \(VIRTIO 1\.4 5\.5\.6\.2\)\n/);
	t.regex(text, /broken device: it does the same, and breaks the same rule\n/);
	t.regex(text, /mended device: no rule is broken, and from frame 32 on it does otherwise:\n/);
	t.regex(text, /: nothing in the capture, 0x80400000\+4096 now\n$/);

	// The same from the command line.
	const check = await vmsim(['check', capture]);
	t.is(check.code, 1);
	t.regex(check.stdout, /^packet 35 .*completion-before-discard/);
	const broken = await vmsim(['replay', capture, '--target', pathOf('broken-device')]);
	t.is(broken.code, 1);
	t.regex(broken.stdout, /^packet 35 .*completion-before-discard/m);
	t.regex(broken.stdout, /2 times in the capture, 2 times now; no difference\n$/);
	const mended = await vmsim(['replay', capture, '--target', pathOf('own-device')]);
	t.is(mended.code, 0);
	t.regex(
		mended.stdout,
		/^frame 32 .*discards before head 0 of inflateq came back\n +capture: nothing\n +replay: /m,
	);
	t.regex(mended.stdout, /2 times in the capture, 0 times now; the devices differ from frame 32 on\n$/);
});

const DOCS = readFileSync(new URL('../../docs/kit.md', import.meta.url), 'utf8');

test('docs/kit.md quotes the examples as they are', (t) => {
	const names = ['test-a-device', 'test-a-driver', 'reproduce-a-capture'];
	const sources = names.map((name) =>
		readFileSync(new URL(`../../examples/${name}.ts`, import.meta.url), 'utf8'),
	);
	const lines = new Set(sources.flatMap((text) => text.split('\n').map((line) => line.trim())));
	const quotes = [...DOCS.matchAll(/^```ts\n([^]*?)^```/gm)].map(([, code]) => code!);
	t.true(quotes.length >= 5);
	for (const code of quotes.filter((text) => !text.includes('...,'))) {
		t.deepEqual(
			code.split('\n').filter((line) => !lines.has(line.trim())),
			[],
		);
	}
});

test('docs/kit.md shows what the examples print', async (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'vmsim-kit-docs-'));
	t.teardown(() => rmSync(folder, {recursive: true}));
	// What npm runs has a test of its own, beside its script.
	const shown = [...DOCS.matchAll(/^ {4}\$ ((?:node|vmsim) .*)\n((?: {4}.*\n)+)/gm)];
	t.is(shown.length, 4);
	for (const [, command, text] of shown) {
		const words = command!.split(' ').map((word) => {
			const name = /^dist\/examples\/(.*)\.js$/.exec(word)?.[1];
			return name ? pathOf(name) : word === 'bug.pcapng' ? join(folder, word) : word;
		});
		const [program, ...args] = words;
		const stdout =
			program === 'vmsim' ? (await vmsim(args)).stdout : (await run(process.execPath, args)).stdout;
		t.is(stdout, text!.replaceAll(/^ {4}/gm, ''));
	}
});
