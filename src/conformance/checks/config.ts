/** The configuration space: VIRTIO 1.4 2.5, 3.2 and 5.5.4. */
import {VIRTIO_BALLOON_CONFIG, VIRTIO_BALLOON_F_PAGE_POISON} from '../../virtio/balloon/spec.js';
import {VIRTIO_MMIO_INT_CONFIG} from '../../virtio/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

const {num_pages, actual, free_page_hint_cmd_id, poison_val} = VIRTIO_BALLOON_CONFIG;
/** A target that reads otherwise in the other byte order. */
const TARGET = 0x0123;

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
		done: 'write actual and read it',
		async run(probe) {
			await probe.start();
			probe.driver.writeConfig(actual.at, 0x0203);
			probe.equal('actual', probe.driver.readConfig(actual.at), 0x0203);
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
