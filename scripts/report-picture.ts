/**
 * Makes the picture of the report for the README: runs the default workload with a capture, draws the report, selects a
 * batch in Chromium and takes the screenshot. Run: node dist/scripts/report-picture.js OUT.png [--guest-mem 4G] [--dark]
 */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import {parseArgs} from 'node:util';
import {Browser, CHROMIUM_ABSENT, hasChromium} from '../test/helpers/chromium.js';

const MAIN = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const WIDTH = 1280;
const HEIGHT = 1060;

const {positionals, values} = parseArgs({
	allowPositionals: true,
	options: {'guest-mem': {type: 'string', default: '4G'}, dark: {type: 'boolean', default: false}},
});
const [output] = positionals;
if (output === undefined || !hasChromium) {
	console.error(
		output === undefined ? 'usage: report-picture OUT.png [--guest-mem 4G] [--dark]' : CHROMIUM_ABSENT,
	);
	process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'vmsim-picture-'));
const browser = new Browser();
try {
	const capture = join(folder, 'run.pcapng');
	const page = join(folder, 'report.html');
	const vmsim = (...args: string[]): Buffer => execFileSync(process.execPath, [MAIN, ...args]);
	vmsim('run', '--guest-mem', values['guest-mem'], '--quiet', '--capture', capture);
	vmsim('report', capture, '-o', page, '--title', `vmsim run --guest-mem ${values['guest-mem']}`);
	const tab = await browser.open(pathToFileURL(page).href, {width: WIDTH, height: HEIGHT, dark: values.dark});
	// A batch from the middle of the run, where there is something to see on both sides.
	await tab.evaluate(
		"document.querySelectorAll('[data-batch]')[Math.floor(document.querySelectorAll('[data-batch]').length / 2)].click()",
	);
	await tab.drawn();
	writeFileSync(output, await tab.screenshot(false));
} finally {
	await browser.close();
	rmSync(folder, {recursive: true});
}
