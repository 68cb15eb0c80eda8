// Runs the tests with TAP, shows what failed or skipped, and ends with the line `N passed, N failed`.
// In the gate a skipped test is a failure: the programs that it needs should have been installed.
import {spawn} from 'node:child_process';
import {createInterface} from 'node:readline';

const child = spawn('npx', ['ava', '--tap', ...process.argv.slice(2)], {
	stdio: ['ignore', 'pipe', 'inherit'],
});
let passed = 0;
let failed = 0;
let skipped = 0;
let shown = false;
for await (const line of createInterface({input: child.stdout})) {
	const result = /^(not )?ok \d+ - (.*)$/.exec(line);
	if (result) {
		const skip = /# SKIP/i.test(line);
		if (skip) skipped++;
		else if (result[1]) failed++;
		else passed++;
		shown = skip || Boolean(result[1]);
		if (shown) console.log(line);
	} else if (shown && /^\s/.test(line)) {
		console.log(line);
	} else if (/^(#|Bail)/.test(line)) {
		console.log(line);
	}
}
const code = await new Promise((resolve) => child.on('close', resolve));
if (skipped > 0) console.log(`${skipped} skipped: every program that the tests need belongs in .ci/run`);
if (code !== 0 && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed + skipped} failed`);
process.exitCode = failed + skipped > 0 ? 1 : 0;
