import test from 'ava';
import {readDuration, readInteger, readKeyed, readShare, readSize, readSwitch} from '../../src/cli/values.js';
import {UsageError} from '../../src/errors.js';
import {GiB, KiB, MiB} from '../../src/units.js';

const RANGE = {min: 64 * MiB, max: 64 * GiB, multiple: 2 * MiB};

test('a size out of range or out of step is refused with flag, value and what is legal', (t) => {
	t.is(readSize('--guest-mem', '4G', RANGE), 4 * GiB);
	for (const text of ['0', '4GB', '-1', '1.5', '65T', '', 'lots', '32M']) {
		const error = t.throws(() => readSize('--guest-mem', text, RANGE), {instanceOf: UsageError});
		t.regex(error!.message, /--guest-mem/);
		t.regex(error!.message, /legal: 64M to 64G/);
	}
	t.throws(() => readSize('--guest-mem', '4097', RANGE), {
		message: /nearest legal: 4096M|nearest legal: 4G or 4098M/,
	});
});

test('times take a unit, and seconds without one', (t) => {
	t.is(readDuration('--duration', '500ms', 0, 1e12), 5e8);
	t.is(readDuration('--duration', '2m', 0, 1e12), 120e9);
	t.is(readDuration('--duration', '1.5', 0, 1e12), 1.5e9);
	t.throws(() => readDuration('--duration', '5 parsecs', 0, 1e12), {message: /--duration "5 parsecs"/});
	t.throws(() => readDuration('--duration', '2000s', 0, 1e12), {instanceOf: UsageError});
});

test('whole numbers, shares and switches know their range', (t) => {
	t.is(readInteger('--seed', '0x10', 0, 100), 16);
	t.throws(() => readInteger('--seed', '101', 0, 100), {message: /from 0 to 100/});
	t.throws(() => readInteger('--seed', '1e2', 0, 1000), {instanceOf: UsageError});
	t.is(readShare('--x', '75%'), 0.75);
	t.throws(() => readShare('--x', '1.01'), {instanceOf: UsageError});
	t.true(readSwitch('--x', 'on'));
	t.throws(() => readSwitch('--x', 'maybe'), {message: /neither on nor off/});
});

test('keyed options take both spellings, refuse unknown keys, and name the known ones', (t) => {
	const readers = {
		sizeBytes: (flag: string, text: string) => readSize(flag, text, {min: 0, max: GiB, multiple: 4 * KiB}),
		deflateOnOom: readSwitch,
	};
	t.deepEqual(readKeyed('--balloon', 'size=512M,deflate-on-oom=on', readers), {
		sizeBytes: 512 * MiB,
		deflateOnOom: true,
	});
	t.deepEqual(readKeyed('--balloon', 'deflate_on_oom=off', readers), {deflateOnOom: false});
	t.throws(() => readKeyed('--balloon', 'sise=1', readers), {message: /"sise"; known: size, deflate_on_oom/});
	t.throws(() => readKeyed('--balloon', 'size', readers), {message: /size=\.\.\./});
	t.throws(() => readKeyed('--balloon', 'size=1M,size=2M', readers), {message: /size twice/});
});
