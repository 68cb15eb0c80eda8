/** The examples are programs that a reader will run: so do we. */
import {execFile} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';

const run = promisify(execFile);

async function output(name: string): Promise<string> {
	const path = fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url));
	return (await run(process.execPath, [path])).stdout;
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

test('test-a-device sees the discard before the completion', async (t) => {
	t.regex(await output('test-a-device'), /^discard, used idx 0\ninterrupt, used idx 1\n/);
});
