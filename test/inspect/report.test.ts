import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import {reportHtml} from '../../src/inspect/report/html.js';
import {ReportCollector, type ReportModel} from '../../src/inspect/report/model.js';
import {ThinningList} from '../../src/inspect/report/thinning.js';
import {Browser, CHROMIUM_ABSENT, hasChromium, type Page, type PageOptions} from '../helpers/chromium.js';
import {CORRUPTIONS} from '../helpers/corrupt-capture.js';
import {eventStream, type TimedEvent} from '../helpers/event-stream.js';
import {colors, readPng} from '../helpers/png.js';

const QUEUES = ['inflateq', 'deflateq', 'statsq', 'reporting_vq'];

function modelOf(events: Iterable<TimedEvent>, title = 'a run'): ReportModel {
	const collector = new ReportCollector();
	let number = 0;
	for (const {timeNs, event} of events) {
		collector.observe(event, timeNs, ++number, 'queue' in event ? QUEUES[event.queue]! : '');
	}
	return collector.finish(title);
}

const MODEL = modelOf(eventStream({rounds: 20, queueSize: 16}));

test('a list that is too long loses entries evenly and keeps the first and the last', (t) => {
	fc.assert(
		fc.property(fc.integer({min: 1, max: 2000}), fc.integer({min: 2, max: 50}), (count, limit) => {
			const list = new ThinningList<number>(limit);
			for (let entry = 0; entry < count; entry++) {
				list.add(entry);
			}
			const {entries} = list;
			t.is(list.seen, count);
			t.true(entries.length <= limit + 1);
			t.is(entries[0], 0);
			t.is(entries.at(-1), count - 1);
			const steps = entries.slice(1, -1).map((entry, index) => entry - entries[index]!);
			t.true(new Set(steps).size <= 1, `uneven: ${entries.join(' ')}`);
		}),
		{seed: 6, numRuns: 200},
	);
});

test('the model ties a chain to its descriptors, its bytes, its answer and what the host freed', (t) => {
	const chain = MODEL.chains.find(({lane}) => MODEL.lanes[lane]!.name === 'reporting_vq')!;
	t.is(chain.descriptorCount, chain.descriptors.length);
	t.is(chain.raw.length, 32 * chain.descriptors.length);
	t.is(chain.discards.length, chain.descriptors.length);
	t.deepEqual(
		chain.discards.map(([, , base, size]) => [base, size]),
		chain.descriptors.map(([, addr, len]) => [addr, len]),
	);
	t.true(chain.usedNs! > chain.availNs && chain.kickNs! <= chain.availNs);
	t.is(MODEL.violationCount, 0);
	t.is(MODEL.lanes.length, 4);
});

test('the violations of a broken run are on the page', (t) => {
	const model = modelOf(CORRUPTIONS['used-twice']!().events);
	t.true(model.violations.some(({rule}) => rule === 'used-twice'));
	t.true(reportHtml(model).includes('used-twice'));
});

test('texts from a capture cannot leave the page they are shown on', (t) => {
	const evil = '</script><script>document.title = "owned"</script><!-- <script>';
	const html = reportHtml(modelOf([{timeNs: 0, event: {type: 'workload', phase: evil, heldBytes: 0}}], evil));
	t.is(html.match(/<\/script>/g)!.length, 2);
	t.is(html.match(/<script/g)!.length, 2);
	t.false(html.includes('<!-- <'));
	t.true(html.includes('&lt;script&gt;'), 'the title is text');
});

test('the page names no other place than itself', (t) => {
	const html = reportHtml(MODEL);
	const namespaces = /http:\/\/www\.w3\.org\/2000\/svg/g;
	t.notRegex(html.replaceAll(namespaces, ''), /https?:|\/\/[a-z0-9.-]+\.[a-z]{2,}\/|url\(|@import|src=/);
	t.true(html.includes("default-src 'none'"));
});

const withChromium = hasChromium ? test.serial : test.serial.skip;
if (!hasChromium) {
	test('chromium is there', (t) => {
		t.log(`SKIPPED: ${CHROMIUM_ABSENT}`);
		t.pass();
	});
}

let browser: Browser;
const folder = mkdtempSync(join(tmpdir(), 'vmsim-report-'));

async function open(options: PageOptions, hash = '', model = MODEL): Promise<Page> {
	const path = join(folder, 'report.html');
	writeFileSync(path, reportHtml(model));
	return browser.open(`${pathToFileURL(path).href}${hash}`, options);
}

test.before(() => {
	if (hasChromium) {
		browser = new Browser();
	}
});

test.after.always(async () => {
	await browser?.close();
	rmSync(folder, {recursive: true});
});

withChromium('every view draws, without a complaint and without a request', async (t) => {
	const page = await open({width: 1280, height: 900});
	t.is(await page.evaluate('document.querySelectorAll("#lanes [data-lane]").length'), 4);
	t.is(await page.evaluate('document.querySelectorAll("#timeline .curve").length'), 4);
	t.is(
		await page.evaluate('document.querySelectorAll("#batches [data-batch]").length'),
		MODEL.chains.filter(({lane}) => MODEL.lanes[lane]!.name === 'reporting_vq').length,
	);
	t.is(await page.evaluate('document.querySelectorAll("#ring [data-slot]").length'), 16);
	// The colours of the pageblocks come from the canvas itself.
	const heat = await page.evaluate<number>(`(() => {
		const canvas = document.getElementById('heatmap');
		const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
		return new Set(new Uint32Array(data.buffer)).size;
	})()`);
	t.true(heat >= 4, `${heat} colours in the heat map`);
	t.deepEqual(page.complaints, []);
	t.is(page.requests.length, 1, page.requests.join());
	t.true(page.requests[0]!.startsWith('file:'));
});

withChromium('the ring at the cursor is the ring of that moment', async (t) => {
	const reports = MODEL.chains.filter(({lane}) => MODEL.lanes[lane]!.name === 'reporting_vq');
	const third = reports[2]!;
	const inside = Math.floor((third.availNs + third.usedNs!) / 2);
	const page = await open({width: 1280, height: 900}, `#t=${inside}`);
	const count = (selector: string): Promise<number> =>
		page.evaluate(`document.querySelectorAll("#ring ${selector}").length`);
	t.is(await count('.flight'), 1);
	t.is(await count('.returned'), 2);
	t.is(await count('.used'), 2);
	t.regex(
		await page.evaluate('document.getElementById("ring-text").textContent'),
		/avail \[3\] next.*used \[2\] next, 1 in flight/,
	);
	t.is(
		await page.evaluate('document.querySelectorAll("#ring [data-links] span").length'),
		third.descriptorCount,
	);
	// The blocks of that report are in flight on the map, too.
	t.regex(
		await page.evaluate('document.getElementById("blocks-text").textContent'),
		new RegExp(`${third.descriptorCount} in flight`),
	);
	await page.evaluate(`location.hash = '#t=${Math.floor(third.usedNs! + 1)}'`);
	await page.drawn();
	t.is(await count('.flight'), 0);
	t.is(await count('.returned'), 3);
});

withChromium('a click on a batch shows its descriptors, its bytes and what the host freed', async (t) => {
	const page = await open({width: 1280, height: 900});
	const wanted = MODEL.chains.findLastIndex(({lane}) => MODEL.lanes[lane]!.name === 'reporting_vq');
	const chain = MODEL.chains[wanted]!;
	await page.click(`[data-batch="${wanted}"]`);
	const rows = await page.evaluate<string[][]>(
		'Array.from(document.querySelectorAll("#descriptors tbody tr"), (row) => Array.from(row.cells, (cell) => cell.textContent))',
	);
	t.is(rows.length, chain.descriptorCount);
	rows.forEach(([, bytes, addr, , , host], index) => {
		t.is(bytes!.replaceAll(' ', ''), chain.raw.slice(32 * index, 32 * index + 32));
		t.is(addr, `0x${chain.descriptors[index]![1].toString(16)}`);
		t.regex(host!, /freed \(packet \d+\)/);
	});
	t.is(await page.evaluate('document.querySelectorAll("#batches .selected").length'), 1);
	t.is(await page.evaluate('document.querySelectorAll("#lanes .bar.selected").length'), 1);
	t.regex(await page.evaluate('location.hash'), new RegExp(`packet=${chain.packet}`));
	t.regex(await page.evaluate('document.getElementById("batch").textContent'), /The host freed/);
});

withChromium('a click on a bar of a lane selects the same batch as its row', async (t) => {
	const page = await open({width: 1280, height: 900});
	await page.click('#lanes [data-lane="3"] .bar');
	const index = await page.evaluate<string>('document.querySelector("#batches .selected").dataset.batch');
	t.is(MODEL.lanes[MODEL.chains[Number(index)]!.lane]!.name, 'reporting_vq');
});

withChromium('zooming narrows the window and the whole run comes back', async (t) => {
	const page = await open({width: 1280, height: 900}, `#t=${Math.floor(MODEL.lastNs / 2)}`);
	const bars = (): Promise<number> => page.evaluate('document.querySelectorAll("#lanes .bar").length');
	const all = await bars();
	await page.click('#zoom-in');
	await page.click('#zoom-in');
	t.true((await bars()) < all);
	t.regex(await page.evaluate('location.hash'), /from=\d+&to=\d+/);
	await page.click('#zoom-all');
	t.is(await bars(), all);
});

for (const width of [1280, 400]) {
	for (const dark of [false, true]) {
		withChromium(`the page fits ${width} px in ${dark ? 'dark' : 'light'} mode`, async (t) => {
			const page = await open({width, height: 900, dark});
			t.true((await page.evaluate<number>('document.documentElement.scrollWidth')) <= width);
			const picture = readPng(await page.screenshot());
			t.true(picture.height > 900);
			const [[paper, share]] = colors(picture) as [[number, number]];
			t.is(paper.toString(16).padStart(6, '0'), dark ? '14181d' : 'ffffff');
			t.true(share < 0.95, `the picture is ${Math.round(100 * share)} % background`);
			t.deepEqual(page.complaints, []);
		});
	}
}

withChromium('a capture with no samples and no chains still makes a page', async (t) => {
	const page = await open(
		{width: 800, height: 600},
		'',
		modelOf([{timeNs: 5, event: {type: 'console', text: 'hello'}}]),
	);
	t.deepEqual(page.complaints, []);
	t.is(await page.evaluate('document.querySelectorAll("#lanes [data-lane]").length'), 0);
});
