/** A schedule for a person: each step, and what had changed when it was done. */
import type {Execution, Step} from './execution.js';
import {replaySchedule, type ScheduleFile} from './schedule-file.js';

/** Zones, count and state of a world at this moment, each as a short text. */
export function describeState({world}: Execution): string[] {
	const {memory, reporting, withHost} = world;
	const audit = reporting.audit?.();
	const parts = memory.zones.map((zone, at) => {
		const facts: string[] = [];
		const books = audit?.zones.find((other) => other.zone === zone.name);
		if (books !== undefined) {
			facts.push(`bits ${books.bitsSet}`, `count ${books.freePages}`);
		}
		if (books?.requested === true) {
			facts.push('requested');
		}
		facts.push(`unknown ${world.unknownPfns(at).length}`);
		if (zone.lock.held) {
			facts.push('locked');
		}
		return `${zone.name}: ${facts.join(', ')}`;
	});
	if (audit !== undefined) {
		parts.push(`refcnt ${audit.refcnt}`);
	}
	const jobs = world.works.works.filter(({pending}) => pending).map(({name}) => `${name} queued`);
	parts.push(...(audit === undefined ? [reporting.state] : []), ...jobs);
	if (withHost.length > 0) {
		parts.push(`host has ${withHost.map(({pfn}) => `0x${pfn.toString(16)}`).join(' ')}`);
	}
	return parts;
}

/** A line for each step; a mark where a thread was preempted, and the state wherever it differs from the one before. */
export function describeSchedule(schedule: Pick<ScheduleFile, 'scenario' | 'reporting' | 'steps'>): string {
	const {steps} = schedule;
	const width = Math.max(...steps.map(({thread}) => thread.length));
	const doing = Math.max(...steps.map(({does}) => does.length));
	const lines: string[] = [];
	let before: readonly string[] = [];
	let preemptions = 0;
	replaySchedule(schedule, (execution, {thread, does}: Step) => {
		const state = describeState(execution);
		const changed = state.filter((part) => !before.includes(part));
		const mark = execution.preemptions > preemptions ? '>' : ' ';
		preemptions = execution.preemptions;
		const line = `${String(lines.length + 1).padStart(4)} ${mark} ${thread.padEnd(width)}  ${does.padEnd(doing)}  ${changed.join(' | ')}`;
		lines.push(line.trimEnd());
		before = state;
	});
	return lines.join('\n');
}
