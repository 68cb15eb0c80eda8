/** The table, the disassembler and the assembler against GNU binutils, with random operands for every row. */
import test from 'ava';
import {assemble} from '../../src/cpu-lite/assembler/assemble.js';
import {disassembleBytes, type Disassembled} from '../../src/cpu-lite/disassembler.js';
import {COMPRESSED, ILLEGAL_OP, INSTRUCTIONS} from '../../src/cpu-lite/isa/table.js';
import {binutilsTest, gnuAssemble, gnuDisassemble} from '../helpers/binutils.js';
import {makeRandom, randomWord, wordBytes} from '../helpers/random-instructions.js';

const ADDRESS = 0x8000_0000;
const PER_ROW = 60;

const full = INSTRUCTIONS.filter((_, op) => op !== ILLEGAL_OP);
const compressed = COMPRESSED.map(({form}) => form);

function randomProgram(sizeBytes: 2 | 4, seed: number): Uint8Array {
	const random = makeRandom(seed);
	const words = (sizeBytes === 4 ? full : compressed).flatMap((form) =>
		Array.from({length: PER_ROW}, () => randomWord(form, random)),
	);
	return wordBytes(words, sizeBytes);
}

/** objdump's spelling where it differs from what assemblers read. */
function normalize(text: string): string {
	return text
		.replaceAll('unknown', '0') // an empty fence set
		.replace(/^c\.addi zero,0$/, 'c.nop')
		.replace(/^fence w,0$/, 'pause')
		.replace(/^unimp$/, 'csrrw zero,cycle,zero');
}

/** The lines that are not the same, `ours | theirs`. */
function differences(ours: readonly string[], theirs: readonly string[]): string[] {
	return ours
		.map((text, index) => `${text} | ${theirs[index]}`)
		.filter((_, index) => ours[index] !== theirs[index]);
}

/** A line for GNU as: targets as distances, which it resolves without a relocation. */
function forGnu({text, word, address}: Disassembled): string {
	if (/^fence .*\b0\b/.test(text)) {
		return `.4byte ${word}`; // GNU as refuses an empty fence set
	}
	return /^(c\.)?(j|jal|b[a-z]+) /.test(text)
		? text.replace(/0x([0-9a-f]+)$/, (_, target: string) => `.+(${BigInt(`0x${target}`) - address})`)
		: text;
}

for (const [title, sizeBytes] of [
	['32-bit', 4],
	['compressed', 2],
] as const) {
	binutilsTest(`objdump writes every ${title} instruction as our disassembler does`, (t) => {
		const bytes = randomProgram(sizeBytes, 11);
		const ours = [...disassembleBytes(bytes, ADDRESS)].map(({text}) => text);
		const theirs = gnuDisassemble(bytes, ADDRESS).map(normalize);
		t.is(ours.length, bytes.length / sizeBytes);
		t.deepEqual(differences(ours, theirs), []);
	});

	binutilsTest(
		`our assembler reads objdump's text of every ${title} instruction back to the same bytes`,
		(t) => {
			const bytes = randomProgram(sizeBytes, 12);
			const source = gnuDisassemble(bytes, ADDRESS).map(normalize).join('\n');
			t.deepEqual(assemble(source, {origin: ADDRESS}).image, bytes);
		},
	);

	binutilsTest(`GNU as reads our text of every ${title} instruction back to the same bytes`, (t) => {
		const bytes = randomProgram(sizeBytes, 13);
		const source = [...disassembleBytes(bytes, ADDRESS)].map(forGnu).join('\n');
		const option = sizeBytes === 4 ? '.option norvc' : '.option rvc';
		t.deepEqual(gnuAssemble(`${option}\n${source}\n`, ADDRESS), bytes);
	});
}

binutilsTest('words that are no instruction for objdump are none for us', (t) => {
	const random = makeRandom(14);
	const words = Array.from({length: 20_000}, () => (random(2 ** 30) * 4 + 3) >>> 0).filter(
		(word) => (word & 0x1f) !== 0x1f, // the beginning of a longer instruction
	);
	const theirs = gnuDisassemble(wordBytes(words, 4), ADDRESS);
	const ours = [...disassembleBytes(wordBytes(words, 4), ADDRESS)].map(({text}) => text);
	t.is(theirs.length, words.length);
	const known = new Set(full.map(({name}) => name));
	words.forEach((word, index) => {
		// objdump knows floating point and other extensions, which this hart has not.
		const name = theirs[index]!.split(' ')[0]!.replace(/(?<=^(?:amo|lr|sc).*)\.(?:aq|rl|aqrl)$/, '');
		const theirText = known.has(name) || name === 'unimp' ? normalize(theirs[index]!) : undefined;
		if (theirText === undefined) {
			t.regex(ours[index]!, /^\.4byte/, `${word.toString(16)} is ${theirs[index]}`);
		} else if (!/csrr/.test(name)) {
			t.is(ours[index], theirText);
		}
	});
});

test('the table has every instruction of RV64IMAC, Zicsr, Zifencei and the privileged ones', (t) => {
	// RV32I 40, RV64I 12 more, fence.tso, pause, fence.i; M 8 + 5; A 11 + 11; Zicsr 6; mret, sret, wfi, sfence.vma.
	t.is(full.length, 40 + 12 + 3 + 13 + 22 + 6 + 4);
	// The 37 of RV64C without c.fld, c.fsd, c.fldsp and c.fsdsp.
	t.is(compressed.length, 33);
	t.is(new Set([...full, ...compressed].map(({name}) => name)).size, full.length + compressed.length);
});
