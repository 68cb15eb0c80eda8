/** QEMU's balloon as a device under test: a process for every check, because a reset is not a power-on. */
import {QemuAhead} from '../../qemu/ahead.js';
import {QemuBalloon} from '../../qemu/balloon.js';
import type {QemuOptions} from '../../qemu/process.js';
import {sleepSync} from '../../qemu/sleep.js';
import {NS_PER_MS} from '../../units.js';
import type {ConformanceTarget, TargetDevice} from '../target.js';

/** QEMU's time is real. */
const LONGEST_WAIT_MS = 1500;
/** Less than a check has, so that a QEMU which hangs is named as such. */
const ANSWER_MS = 4000;

const OPTIONS: QemuOptions = {watch: 'sources', deflateOnOom: true, answerMs: ANSWER_MS};

const ahead = new QemuAhead();

export const qemuTarget: ConformanceTarget = {
	name: 'qemu',
	start: () => qemuDevice(new QemuBalloon(OPTIONS, ahead.take(OPTIONS))),
	close: () => ahead.close(),
};

/** A balloon whose interrupt sources are watched. */
export function qemuDevice(balloon: QemuBalloon): TargetDevice {
	return {
		mmio: balloon,
		ram: balloon.ram,
		queueNumbering: 'consecutive',
		host: {
			setTargetPages: (pages) => balloon.setTargetPages(pages),
			requestStats: () => balloon.requestStats(),
			stats: () => balloon.stats(),
		},
		interruptLevel: () => balloon.interruptLevel(),
		settle: () => balloon.process.sync(),
		advance(ns) {
			sleepSync(Math.min(ns / NS_PER_MS, LONGEST_WAIT_MS));
			balloon.process.sync();
		},
		close: () => balloon.close(),
	};
}

/** Starts one QEMU for nothing, so that one which cannot be used is known before the first check. */
export function openQemuTarget(): ConformanceTarget {
	try {
		new QemuBalloon(OPTIONS, ahead.take(OPTIONS)).close();
	} catch (error) {
		ahead.close();
		throw error;
	}
	return qemuTarget;
}
