/** The record of the golden cases is what QEMU 7.2 does. */
import test from 'ava';
import {loadGolden} from '../../src/conformance/golden/files.js';
import {playGolden} from '../../src/conformance/golden/player.js';
import {qemuGoldenTarget} from '../../src/conformance/golden/targets.js';
import {qemuVersion} from '../../src/qemu/process.js';

const RELEASE = '7.2.';

if (qemuVersion()?.startsWith(RELEASE)) {
	for (const one of loadGolden().cases) {
		test.serial(`golden ${one.id} on QEMU: ${one.text}`, async (t) => {
			t.deepEqual(await playGolden(one, qemuGoldenTarget), one.qemu);
		});
	}
} else {
	test.skip('SKIPPED, install qemu-system-misc of release 7.2: the golden cases on QEMU', () => {});
}
