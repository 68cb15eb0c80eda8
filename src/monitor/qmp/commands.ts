/** The commands of QMP: a table of name to function of run and arguments (QEMU 7.2 qapi/*.json). */
import {logicalBytes, setLogicalBytes} from '../balloon-target.js';
import {runCommand} from '../commands.js';
import {MonitorError, type Monitored} from '../monitored.js';
import type {Arguments} from './arguments.js';
import type {Json} from './json.js';
import {qomGet, qomList, qomSet} from './object-model.js';
import {queryQueueElement, queryQueueStatus, queryVirtio, queryVirtioStatus} from './virtio-query.js';

export type QmpCommand = (run: Monitored, args: Arguments) => Json | Promise<Json>;

const NOTHING: Json = {};

/** QEMU's release whose words and fields we follow, and who we are. */
export function qmpVersion(version: string): Json {
	return {qemu: {micro: 0, minor: 2, major: 7}, package: `vmsim ${version}`};
}

/** A command without arguments. */
function plain(answer: (run: Monitored) => Json | void): QmpCommand {
	return (run, args) => {
		args.done();
		return answer(run) ?? NOTHING;
	};
}

function refuse(why: string): QmpCommand {
	return plain(() => {
		throw new MonitorError(why);
	});
}

function goOn({control}: Monitored): void {
	if (control.end !== undefined) {
		throw new MonitorError(`The run has ended (${control.end})`);
	}
	control.cont();
}

/** What the prompt would say, with QEMU's line ends; an error is text too. */
async function humanCommand(run: Monitored, line: string): Promise<string> {
	try {
		return (await runCommand(run, line)).replaceAll('\n', '\r\n');
	} catch (error) {
		if (error instanceof MonitorError) {
			return `${error.message}\r\n`;
		}
		throw error;
	}
}

export function qmpCommands(version: string): ReadonlyMap<string, QmpCommand> {
	const commands = new Map<string, QmpCommand>(
		Object.entries({
			'query-version': plain(() => qmpVersion(version)),
			'query-status': plain(({control: {status}}) => ({
				status,
				singlestep: false,
				running: status === 'running',
			})),
			'query-name': plain(({name}) => ({name})),
			'query-kvm': plain(() => ({enabled: false, present: false})),
			'query-memory-size-summary': plain(({machine}) => ({'base-memory': machine.memory.sizeBytes})),
			stop: plain(({control}) => control.stop()),
			cont: plain(goOn),
			quit: plain(({control}) => control.quit()),
			system_powerdown: refuse('this board has no power button that the guest could see'),
			system_reset: refuse('a run begins at reset and ends: start another one'),
			'query-balloon': plain((run) => ({actual: logicalBytes(run, run.machine.balloon.actualPages)})),
			balloon: (run, args) => {
				const bytes = args.integer('value');
				args.done();
				setLogicalBytes(run, bytes);
				return NOTHING;
			},
			'qom-get': (run, args) => {
				const [path, property] = [args.string('path'), args.string('property')];
				args.done();
				return qomGet(run, path, property);
			},
			'qom-set': (run, args) => {
				const [path, property, value] = [args.string('path'), args.string('property'), args.any('value')];
				args.done();
				qomSet(run, path, property, value);
				return NOTHING;
			},
			'qom-list': (_run, args) => {
				const path = args.string('path');
				args.done();
				return qomList(path);
			},
			'x-query-virtio': plain(queryVirtio),
			'x-query-virtio-status': (run, args) => {
				const path = args.string('path');
				args.done();
				return queryVirtioStatus(run, path);
			},
			'x-query-virtio-queue-status': (run, args) => {
				const [path, queue] = [args.string('path'), args.uint16('queue')];
				args.done();
				return queryQueueStatus(run, path, queue);
			},
			'x-query-virtio-queue-element': (run, args) => {
				const [path, queue] = [args.string('path'), args.uint16('queue')];
				const slot = args.optionalUint16('index');
				args.done();
				return queryQueueElement(run, path, queue, slot);
			},
			'human-monitor-command': (run, args) => {
				const line = args.string('command-line');
				args.optionalInteger('cpu-index');
				args.done();
				return humanCommand(run, line);
			},
		} satisfies Record<string, QmpCommand>),
	);
	const names = [...commands.keys(), 'qmp_capabilities', 'query-commands'].map((name) => ({name}));
	commands.set(
		'query-commands',
		plain(() => names),
	);
	return commands;
}
