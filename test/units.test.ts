import test from 'ava';
import {plural, GiB, KiB, MiB, SizeSyntaxError, TiB, formatSize, parseSize} from '../src/units.js';

test('a size takes K M G T, their IEC spellings, bytes, and MiB for a bare number', (t) => {
	t.is(parseSize('4G'), 4 * GiB);
	t.is(parseSize('4GiB'), 4 * GiB);
	t.is(parseSize('512m'), 512 * MiB);
	t.is(parseSize('64K'), 64 * KiB);
	t.is(parseSize('1T'), TiB);
	t.is(parseSize('4096B'), 4096);
	t.is(parseSize('256'), 256 * MiB);
});

test('a size that half of the field reads otherwise is refused with the way to write it', (t) => {
	t.throws(() => parseSize('4GB'), {instanceOf: SizeSyntaxError, message: /ambiguous: write 4GiB/});
	t.throws(() => parseSize('1.5'), {instanceOf: SizeSyntaxError});
	t.throws(() => parseSize('-1'), {instanceOf: SizeSyntaxError});
	t.throws(() => parseSize('4X'), {instanceOf: SizeSyntaxError, message: /unknown unit "X"/});
	t.throws(() => parseSize('99999999T'), {instanceOf: SizeSyntaxError, message: /too large/});
});

test('sizes print with a unit and at most one decimal', (t) => {
	t.is(formatSize(4 * GiB), '4 GiB');
	t.is(formatSize(3.5 * GiB), '3.5 GiB');
	t.is(formatSize(0), '0 B');
	t.is(formatSize(-2 * MiB), '-2 MiB');
});

test('one is one, and nothing is many', (t) => {
	t.is(plural(1, 'fault'), '1 fault');
	t.is(plural(0, 'fault'), '0 faults');
	t.is(plural(2, 'batch', 'batches'), '2 batches');
	t.is(plural(1, 'bit waits', 'bits wait'), '1 bit waits');
});
