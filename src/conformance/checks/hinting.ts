/** Free page hinting: VIRTIO 1.4 5.5.6.5. */
import {readable, writable} from '../../kit/scripted-driver.js';
import {PAGE_SIZE} from '../../units.js';
import {
	VIRTIO_BALLOON_CMD_ID_DONE,
	VIRTIO_BALLOON_CMD_ID_MIN,
	VIRTIO_BALLOON_CMD_ID_STOP,
	VIRTIO_BALLOON_CONFIG,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
} from '../../virtio/balloon/spec.js';
import {check, type Check} from '../check.js';
import type {Probe} from '../probe.js';

const CMD_ID = VIRTIO_BALLOON_CONFIG.free_page_hint_cmd_id.at;

/** Starts a device and a round of hints; returns the id that the device asks for. */
async function startRound(probe: Probe): Promise<number> {
	await probe.start({features: [VIRTIO_BALLOON_F_FREE_PAGE_HINT]});
	await probe.ask('startHinting');
	const asked = probe.driver.readConfig(CMD_ID);
	probe.see(`cmd_id 0x${asked.toString(16)}`);
	return asked;
}

/** Starts a round of hints and sends `id`, a page, and returns the id that the device asked for. */
async function hint(probe: Probe, id: (asked: number) => number): Promise<number> {
	const asked = await startRound(probe);
	probe.fill(0, 1);
	const queue = probe.queue('free_page_vq');
	await probe.send(queue, readable(probe.driver.allocWords([id(asked)]), 4));
	await probe.send(queue, writable(probe.page(0), PAGE_SIZE));
	return asked;
}

export const HINTING_CHECKS: readonly Check[] = [
	check('BAL-40', '5.5.6.5', 'layout', {
		text: 'The command id of a round is 2 or more.',
		done: 'start a round of hints, read the command id',
		async run(probe) {
			const asked = await hint(probe, (id) => id);
			probe.expect(asked >= VIRTIO_BALLOON_CMD_ID_MIN, `the command id is ${asked}`);
		},
	}),
	check('BAL-49', '5.5.6.5.2', 'MUST', {
		text: 'A command id is not used again before a STOP has come.',
		done: 'start three rounds without sending STOP',
		async run(probe) {
			const ids = [await hint(probe, (id) => id)];
			for (let round = 0; round < 2; round++) {
				await probe.ask('startHinting');
				ids.push(probe.driver.readConfig(CMD_ID));
			}
			probe.see(`ids ${ids.map((id) => id.toString(16)).join(' ')}`);
			probe.expect(new Set(ids).size === ids.length, 'a command id came twice');
		},
	}),
	check('BAL-50', '5.5.6.5.2', 'MUST', {
		text: 'Pages sent under an id that is not the current one are ignored.',
		done: 'answer a round of hints with another id and a page',
		async run(probe) {
			await hint(probe, (id) => id + 1000);
			probe.expectKept('hinted under a stale id', 0);
		},
	}),
	check('BAL-50.used', '5.5.6.5', 'layout', {
		text: 'Buffers of hints come back.',
		done: 'send the id, a page and STOP',
		async run(probe) {
			await hint(probe, (id) => id);
			const queue = probe.queue('free_page_vq');
			await probe.send(queue, readable(probe.driver.allocWords([VIRTIO_BALLOON_CMD_ID_STOP]), 4));
			probe.seeUsed(queue);
			probe.equal('used idx', queue.usedIdx, 3);
		},
	}),
	check('BAL-48', '5.5.6.5.2', 'SHOULD', {
		text: 'When hints can no longer be used the command id becomes STOP.',
		done: 'start a round of hints, stop it at the host',
		async run(probe) {
			await hint(probe, (id) => id);
			await probe.ask('stopHinting');
			probe.equal('cmd_id', probe.driver.readConfig(CMD_ID), VIRTIO_BALLOON_CMD_ID_STOP);
		},
	}),
	check('BAL-53', '5.5.6.5.2', 'MUST', {
		text: 'When hints are no longer needed the command id becomes DONE.',
		done: 'run a round of hints, end it at the host',
		async run(probe) {
			await hint(probe, (id) => id);
			await probe.ask('doneHinting');
			probe.equal('cmd_id', probe.driver.readConfig(CMD_ID), VIRTIO_BALLOON_CMD_ID_DONE);
		},
	}),
	check('BAL-52', '5.5.6.5.2', 'MUST', {
		text: 'A hinted page is not changed after DONE.',
		done: 'hint a page, end the round, write the page, kick again',
		async run(probe) {
			await hint(probe, (id) => id);
			await probe.ask('doneHinting');
			await probe.expectSettled('free_page_vq', 'written after DONE');
		},
	}),
	check('BAL-51', '5.5.6.5.2', 'MUST', {
		text: 'A hinted page that the guest has written since the id was issued keeps what was written.',
		done: 'hint a page that was written under the current id, before and after it is offered',
		async run(probe) {
			await hint(probe, (id) => id);
			probe.expectKept('written since the id was issued', 0);
			probe.fill(0, 1);
			await probe.kick(probe.queue('free_page_vq'));
			probe.expectKept('written again', 0);
		},
	}),
];
