import test from 'ava';
import {readReporting} from '../../../src/cli/reporting-option.js';
import {UsageError} from '../../../src/errors.js';
import {bitmapSwitchNames} from '../../../src/guest-kernel/reporting/bitmap-switches.js';
import {DESIGN_NAMES, readDesign, reportingDesign} from '../../../src/guest-kernel/reporting/registry.js';
import {bitmapBench} from '../../helpers/bitmap-bench.js';

test('every design can be named, and only off makes none', (t) => {
	for (const name of DESIGN_NAMES) {
		t.deepEqual(readDesign(name), {design: name, switches: {}});
		t.is(reportingDesign({design: name, switches: {}}) === undefined, name === 'off');
	}
});

test('switches are read with either spelling, and each of them is known by its own name', (t) => {
	t.deepEqual(readReporting('--reporting', 'bitmap-v12, recheck=on,irq_lock=on,max-pages=8'), {
		design: 'bitmap-v12',
		switches: {recheck: 'on', irq_lock: 'on', 'max-pages': '8'},
	});
	const {switches} = bitmapBench('bitmap-v12,irq_lock=on,max-pages=8').reporting;
	t.true(switches.irqLock);
	t.is(switches.maxPages, 8);
	t.is(switches.threshold, 8, 'the threshold follows the size of a report');
	t.is(bitmapBench('bitmap-v12,threshold=3').reporting.switches.threshold, 3);
	t.is(bitmapBench('bitmap-v12-per-zone,flag=after-scan').reporting.switches.flag, 'after');
});

test('the patch as posted is what one gets without switches', (t) => {
	const {switches} = bitmapBench('bitmap-v12').reporting;
	t.deepEqual([switches.maxPages, switches.threshold], [16, 16]);
	const {maxPages: _1, threshold: _2, flag: _3, together: _4, count: _5, ...cures} = switches;
	t.deepEqual(new Set(Object.values(cures)), new Set([false]));
	t.true(bitmapSwitchNames('v12').length >= Object.keys(cures).length);
});

for (const [text, message] of [
	['bitmap-v13', /"bitmap-v13" is not one of mainline, bitmap-v12, .*, off/],
	['', /"" is not one of/],
	['mainline,recheck=on', /mainline has no switches/],
	['off,recheck=on', /off has no switches/],
	['bitmap-v12,rechek=on', /no switch "rechek"; it has max-pages, threshold, recheck/],
	['bitmap-v12,recheck', /"recheck" has no value/],
	['bitmap-v12,recheck=maybe', /recheck=maybe is neither on nor off/],
	['bitmap-v12,recheck=on,recheck=off', /"recheck" is given twice/],
	['bitmap-v12,max-pages=0', /max-pages=0 is not a whole number from 1 to 1024/],
	['bitmap-v12,flag=before', /flag is not for it/],
	['bitmap-v12-per-zone,flag=never', /flag=never is not one of before, before-scan, after, after-scan/],
	['bitmap-v12-per-zone,flag=before,recheck=on', /recheck=on contradicts flag=before/],
	['bitmap-v12-per-zone,flag=after,recheck=on,together=off', /recheck=on contradicts together=off/],
	['bitmap-v12-swap,clear-under-lock=on', /clear-under-lock is not for it/],
	['bitmap-v12-fetch-inc,count=pages', /count=pages is not one of bits, cmpxchg/],
] as const) {
	test(`--reporting ${JSON.stringify(text)} is refused in words that help`, (t) => {
		const error = t.throws(() => readReporting('--reporting', text), {instanceOf: UsageError});
		t.regex(error?.message ?? '', message);
		t.regex(error?.message ?? '', /^--reporting/);
	});
}
