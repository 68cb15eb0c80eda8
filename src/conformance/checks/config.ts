/** The configuration space: VIRTIO 1.4 2.5, 3.2 and 5.5.4. */
import {MiB, PAGE_SIZE} from '../../units.js';
import {VIRTIO_BALLOON_CONFIG, VIRTIO_BALLOON_F_PAGE_POISON} from '../../virtio/balloon/spec.js';
import {VIRTIO_MMIO_INT_CONFIG} from '../../virtio/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

const {num_pages, actual, free_page_hint_cmd_id, poison_val} = VIRTIO_BALLOON_CONFIG;
/** A target that reads otherwise in the other byte order. */
const TARGET = 0x0123;
/** More pages than 16 bits can count, 258 MiB: a host asks for no more than there are. */
const WIDE_TARGET = 0x0001_0203;
const WIDE_ACTUAL = 0x0102_0304;

function presentFields(probe: Probe): {at: number}[] {
	return [num_pages, actual, free_page_hint_cmd_id, poison_val].filter(
		(field) => !('feature' in field) || probe.offered(field.feature),
	);
}

export const CONFIG_CHECKS: readonly Check[] = [
	check('CFG-01', '2.5', 'layout', {
		text: 'Fields are little-endian.',
		done: `ask for ${TARGET} pages, read num_pages as a word (a driver may not read it in pieces)`,
		async run(probe) {
			await probe.ask('setTargetPages', TARGET);
			probe.equal('num_pages', probe.driver.readConfig(num_pages.at), TARGET);
		},
	}),
	check('CFG-01.wide', '5.5.4', 'layout', {
		text: 'num_pages has 32 bits.',
		ramBytes: 512 * MiB,
		done: `ask for 0x${WIDE_TARGET.toString(16)} pages, read num_pages`,
		async run(probe) {
			const pages = probe.device.ram.sizeBytes / PAGE_SIZE;
			if (pages < WIDE_TARGET) {
				probe.notApplicable(`the target has ${pages} pages of memory, the check needs ${WIDE_TARGET}`);
			}
			await probe.ask('setTargetPages', WIDE_TARGET);
			probe.equal('num_pages', probe.driver.readConfig(num_pages.at), WIDE_TARGET);
		},
	}),
	check('CFG-05', '2.5.2', 'MUST', {
		text: 'Every field of an offered feature can be read before FEATURES_OK.',
		done: 'read the fields at status 3, and again after DRIVER_OK',
		async run(probe) {
			await probe.device.host.setTargetPages?.(TARGET);
			probe.acknowledge();
			const fields = presentFields(probe);
			const early = fields.map(({at}) => probe.driver.readConfig(at));
			await probe.start();
			const late = fields.map(({at}) => probe.driver.readConfig(at));
			probe.equal('configuration at status 3', hexWords(early), hexWords(late));
		},
	}),
	check('CFG-06', '2.5', 'layout', {
		text: 'ConfigGeneration changes when the device changes its configuration.',
		done: 'change the balloon target of a running device',
		async run(probe) {
			await probe.start();
			const before = probe.driver.read('ConfigGeneration');
			await probe.ask('setTargetPages', TARGET);
			const after = probe.driver.read('ConfigGeneration');
			probe.see(`ConfigGeneration ${before}, then ${after}`);
			probe.expect(after !== before, `ConfigGeneration stays ${before}`);
		},
	}),
	check('CFG-06.still', '2.5', 'layout', {
		text: 'ConfigGeneration stays while nothing changes: a driver that reads it around its reads gets through.',
		done: 'read ConfigGeneration eight times around reads of num_pages',
		async run(probe) {
			await probe.start();
			const first = probe.driver.read('ConfigGeneration');
			for (let i = 0; i < 8; i++) {
				probe.driver.readConfig(num_pages.at);
				probe.equal('ConfigGeneration', probe.driver.read('ConfigGeneration'), first);
			}
		},
	}),
	check('OP-01', '3.2', 'layout', {
		text: 'A change that the device makes is notified: configuration bit and interrupt line.',
		done: 'change the balloon target of a running device',
		async run(probe) {
			await probe.start();
			await probe.ask('setTargetPages', TARGET);
			const pending = probe.interruptStatus & VIRTIO_MMIO_INT_CONFIG;
			probe.equal('InterruptStatus', pending, VIRTIO_MMIO_INT_CONFIG);
			probe.equal('interrupt line', probe.device.interruptLevel(), true);
			probe.equal('num_pages', probe.driver.readConfig(num_pages.at), TARGET);
		},
	}),
	check('OP-01.cmd-id', '3.2', 'layout', {
		text: 'A new command id is a change of the configuration like any other: notified, with a new generation.',
		done: 'start a round of hints on a running device',
		async run(probe) {
			await probe.start({features: [free_page_hint_cmd_id.feature]});
			const before = probe.driver.read('ConfigGeneration');
			await probe.ask('startHinting');
			const after = probe.driver.read('ConfigGeneration');
			probe.see(`ConfigGeneration ${before}, then ${after}`);
			probe.expect(after !== before, `ConfigGeneration stays ${before}`);
			const pending = probe.interruptStatus & VIRTIO_MMIO_INT_CONFIG;
			probe.equal('InterruptStatus', pending, VIRTIO_MMIO_INT_CONFIG);
		},
	}),
	check('BAL-05.num-pages', '5.5.4', 'layout', {
		text: 'num_pages is read-only to the driver.',
		done: 'write num_pages',
		async run(probe) {
			await probe.start();
			const before = probe.driver.readConfig(num_pages.at);
			probe.driver.writeConfig(num_pages.at, before + 77);
			probe.equal('num_pages', probe.driver.readConfig(num_pages.at), before);
		},
	}),
	check('BAL-05.cmd-id', '5.5.4', 'layout', {
		text: 'free_page_hint_cmd_id is read-only to the driver.',
		done: 'write free_page_hint_cmd_id',
		async run(probe) {
			await probe.start({features: [free_page_hint_cmd_id.feature]});
			const before = probe.driver.readConfig(free_page_hint_cmd_id.at);
			probe.driver.writeConfig(free_page_hint_cmd_id.at, before + 77);
			probe.equal('free_page_hint_cmd_id', probe.driver.readConfig(free_page_hint_cmd_id.at), before);
		},
	}),
	check('BAL-19', '5.5.4', 'layout', {
		text: 'actual is writable to the driver and reads as written.',
		done: `write 0x0203 to actual and read it, then 0x${WIDE_ACTUAL.toString(16)}`,
		async run(probe) {
			await probe.start();
			for (const pages of [0x0203, WIDE_ACTUAL]) {
				probe.driver.writeConfig(actual.at, pages);
				probe.equal('actual', probe.driver.readConfig(actual.at), pages);
			}
		},
	}),
	check('BAL-60', '5.5.4', 'layout', {
		text: 'With PAGE_POISON poison_val is writable to the driver and reads as written.',
		done: 'write poison_val before DRIVER_OK and read it',
		async run(probe) {
			await probe.start({features: [VIRTIO_BALLOON_F_PAGE_POISON], quiet: true});
			probe.driver.writeConfig(poison_val.at, 0xaaaa_aaaa);
			probe.equal('poison_val', probe.driver.readConfig(poison_val.at), 0xaaaa_aaaa);
		},
	}),
];

function hexWords(words: readonly number[]): string {
	return words.map((word) => word.toString(16).padStart(8, '0')).join(' ');
}
