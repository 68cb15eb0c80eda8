/** The whole matrix of page permissions, executed: both engines, and QEMU. */
import test from 'ava';
import {readFileSync} from 'node:fs';
import {FINISHER_BASE, RAM_BASE, UART_BASE} from '../../src/board/memory-map.js';
import {assemble} from '../../src/cpu-lite/assembler/assemble.js';
import {MiB} from '../../src/units.js';
import {qemuTest, runOnQemu} from '../helpers/qemu.js';
import {referenceHart, wasmHart, type TestHart} from '../helpers/test-harts.js';

/** 256 PTEs, four settings of SUM and MXR with four accesses each and two fetches, for three kinds of page. */
const ENTRIES = 3 * 256 * (4 * 4 + 2);

const {image} = assemble(
	readFileSync(new URL('../../../test/helpers/paging-matrix.S', import.meta.url), 'utf8'),
	{
		file: 'paging-matrix.S',
		origin: RAM_BASE,
		symbols: {uart: UART_BASE, finisher: FINISHER_BASE, large: RAM_BASE + 4 * MiB},
	},
);

function sent(make: () => TestHart): number[] {
	const hart = make();
	hart.ram.writeBytes(RAM_BASE, image);
	hart.runToFinish(3_000_000);
	return hart.console;
}

function entries(bytes: ArrayLike<number>): string[] {
	return Array.from({length: bytes.length / 3}, (_, index) => {
		const [cause, elsewhere, pte] = [0, 1, 2].map((at) => bytes[3 * index + at]!);
		return `cause ${cause}${elsewhere === 0 ? '' : ' at another address'}, PTE ${pte!.toString(2).padStart(8, '0')}`;
	});
}

test('the engines agree on every access through every PTE', (t) => {
	const reference = entries(sent(referenceHart));
	t.is(reference.length, ENTRIES);
	t.deepEqual(entries(sent(wasmHart)), reference);
	const causes = new Set(reference.map((entry) => /cause (\d+)/.exec(entry)![1]));
	t.deepEqual([...causes].sort(), ['0', '12', '13', '15', '2'].sort(), 'illegal is what a fetch finds');
});

qemuTest('QEMU agrees on every access through every PTE', (t) => {
	t.deepEqual(entries(sent(wasmHart)), entries(runOnQemu(image)));
});
