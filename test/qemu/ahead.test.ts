/** One QEMU after the other, the next one launched ahead. */
import {execFileSync} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {setTimeout as sleep} from 'node:timers/promises';
import test from 'ava';
import {RAM_BASE} from '../../src/board/memory-map.js';
import {QemuAhead} from '../../src/qemu/ahead.js';
import {QemuLaunch, type LaunchOptions} from '../../src/qemu/launch.js';
import {qemuIsInstalled, QemuProcess} from '../../src/qemu/process.js';
import {MiB} from '../../src/units.js';

const FOLDERS = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const installed = qemuIsInstalled();
const withQemu = installed ? test.serial : test.serial.skip;
const titled = (title: string) => (installed ? title : `SKIPPED, install qemu-system-misc: ${title}`);
const SMALL: LaunchOptions = {sizeBytes: 16 * MiB};
const LARGE: LaunchOptions = {sizeBytes: 32 * MiB};

/** How the names of our folders begin. */
const NAME = `vmsim-qemu-${process.pid}-`;

function folders(): string[] {
	return readdirSync(FOLDERS).filter((name) => name.startsWith(NAME));
}

function commandLines(): string[] {
	return execFileSync('ps', ['-eo', 'stat,args'], {encoding: 'utf8'}).split('\n');
}

/** QEMU's own word for the size of its memory. */
function sizeOf(qemu: QemuProcess): number {
	return (qemu.qmp.execute('query-memory-size-summary') as {'base-memory': number})['base-memory'];
}

withQemu(
	titled('each one is a process of its own as power-on leaves it, and one comes up meanwhile'),
	(t) => {
		const ahead = new QemuAhead();
		const first = new QemuProcess(SMALL, ahead.take(SMALL));
		t.is(folders().length, 2);
		first.write(RAM_BASE + MiB, 4, 0x1234);
		const second = new QemuProcess(SMALL, ahead.take(SMALL));
		t.is(folders().length, 3);
		t.is(second.read(RAM_BASE + MiB, 4), 0);
		t.is(first.read(RAM_BASE + MiB, 4), 0x1234);
		first.close();
		second.sync();
		second.close();
		t.is(folders().length, 1);
		ahead.close();
		t.deepEqual(folders(), []);
	},
);

withQemu(titled('where other options are asked for, the one that was launched ahead is given up'), (t) => {
	const ahead = new QemuAhead();
	for (const options of [SMALL, LARGE, SMALL]) {
		const qemu = new QemuProcess(options, ahead.take(options));
		t.is(sizeOf(qemu), options.sizeBytes!);
		t.is(folders().length, 2);
		qemu.close();
	}
	ahead.close();
	t.deepEqual(folders(), []);
});

withQemu(
	titled('many that are closed before they are up leave nothing, and the next one works'),
	async (t) => {
		for (let i = 0; i < 20; i++) {
			new QemuLaunch(SMALL).close();
		}
		t.deepEqual(folders(), []);
		const qemu = new QemuProcess(SMALL);
		qemu.sync();
		qemu.close();
		for (let waited = 0; commandLines().some((line) => line.includes(NAME)) && waited < 5000; waited += 20) {
			await sleep(20);
		}
		t.false(commandLines().some((line) => line.includes(NAME)));
		t.deepEqual(folders(), []);
	},
);

withQemu(titled('one whose life is half over before anybody takes it is not given out'), (t) => {
	const ahead = new QemuAhead();
	const brief: LaunchOptions = {lifeSeconds: 1};
	const first = new QemuProcess(brief, ahead.take(brief));
	t.throws(
		() => {
			for (;;) first.sync();
		},
		{message: /was ended after its 1 s/},
	);
	first.close();
	const second = new QemuProcess(brief, ahead.take(brief));
	second.sync();
	second.close();
	ahead.close();
	t.deepEqual(folders(), []);
});
