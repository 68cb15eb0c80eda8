/** `--monitor`, `--monitor-socket PATH` and `--paused`: who may look at the machine and hold it while it runs. */
import {UsageError} from '../errors.js';
import type {Monitored} from '../monitor/monitored.js';
import {Prompt} from '../monitor/prompt.js';
import {QmpServer} from '../monitor/qmp/server.js';
import {RunControl} from '../monitor/run-control.js';
import {StatsPolling} from '../monitor/stats-polling.js';
import type {RunEnd} from '../run-result.js';
import type {RunPlan} from './flags/flag.js';
import {version} from './version.js';

export interface MonitorRequest {
	/** A prompt on standard input and output. */
	prompt: boolean;
	/** Path of a unix socket that speaks QMP. */
	socket?: string;
	/** The machine stands still at first; with a prompt it always does. */
	paused: boolean;
}

export interface OpenMonitor {
	readonly control: RunControl;
	/** Says how the run ended, and waits until the person at the prompt has seen enough. */
	ended(end: RunEnd): Promise<void>;
	close(): void;
}

/** Throws UsageError for flags that cannot go together. */
export function checkMonitor({monitor, json, capture}: RunPlan): void {
	if (monitor.paused && !monitor.prompt && monitor.socket === undefined) {
		throw new UsageError(
			'--paused wants a monitor that can let the machine run: --monitor or --monitor-socket',
		);
	}
	if (monitor.prompt && (json || capture?.path === '-')) {
		const other = json ? '--json' : '--capture -';
		throw new UsageError(
			`--monitor answers on standard output, and ${other} goes there too: use --monitor-socket`,
		);
	}
}

/** Opens the monitors that were asked for; undefined if there are none. Throws UsageError for a bad socket path. */
export async function openMonitor(
	{monitor: {prompt: wantsPrompt, socket, paused}}: RunPlan,
	what: Pick<Monitored, 'machine' | 'kernel' | 'name'>,
): Promise<OpenMonitor | undefined> {
	if (!wantsPrompt && socket === undefined) {
		return undefined;
	}
	const {clock, balloon} = what.machine;
	const control = new RunControl(clock, {paused: paused || wantsPrompt});
	const run: Monitored = {...what, control, polling: new StatsPolling(clock, balloon)};
	const server = socket === undefined ? undefined : await QmpServer.open(run, socket, version());
	const prompt = wantsPrompt ? openPrompt(run, () => server?.hasClients === true) : undefined;
	const onSignal = (): void => {
		control.quit('host-signal');
		prompt?.close();
	};
	process.once('SIGINT', onSignal);
	// As Ctrl-C: the run ends with its summary, the clients hear of it, and the socket goes.
	const onTerminate = (): void => void process.emit('SIGINT');
	process.on('SIGTERM', onTerminate);
	return {
		control,
		ended: async (end) => {
			control.ended(end);
			if (!control.quitRequested) {
				await prompt?.closed;
			}
		},
		close: () => {
			process.off('SIGINT', onSignal);
			process.off('SIGTERM', onTerminate);
			prompt?.close();
			server?.close();
		},
	};
}

function openPrompt(run: Monitored, othersMayContinue: () => boolean): Prompt {
	const prompt = new Prompt(run, {
		input: process.stdin,
		output: process.stdout,
		interactive: process.stdin.isTTY === true,
	});
	void prompt.closed.then(() => {
		const {status} = run.control;
		// Whoever went away cannot say continue any more, and a client that never comes would be waited for in vain.
		if (!othersMayContinue() && (status === 'prelaunch' || status === 'paused')) {
			run.control.quit();
		}
	});
	return prompt;
}
