/** What a flag of `vmsim run` is, and what all of them together say. */
import type {MachineConfig, WorkloadConfig} from '../../config.js';
import type {ProgramFiles} from '../../program-guest.js';
import type {ReplayFiles} from '../../replay-setup.js';
import type {CaptureRequest} from '../capture-option.js';
import type {MonitorRequest} from '../monitor-option.js';

/** Everything that `vmsim run` was asked to do. */
export interface RunPlan {
	machine: MachineConfig;
	/** Whose board and balloon: ours, or QEMU's with our guest kernel on it. */
	device: 'builtin' | 'qemu';
	workload: WorkloadConfig;
	replay: ReplayFiles;
	/** Virtual time after which the run stops; null: when the workload is done. */
	durationNs: number | null;
	/** Stop at the first use of a page that is lent to the host. */
	sanitize: boolean;
	json: boolean;
	quiet: boolean;
	/** Print the traffic as it happens. */
	inspect: boolean;
	/** Where the traffic is recorded; undefined: nowhere. */
	capture: CaptureRequest | undefined;
	/** Who may look at the machine and hold it while it runs. */
	monitor: MonitorRequest;
	/** A guest that is made of instructions, instead of the TypeScript kernel and a workload. */
	program: ProgramFiles;
	/** Where the flattened device tree is written to. */
	dtbDump?: string;
}

export interface Flag {
	describe: string;
	alias?: string;
	/** A switch is present or absent; any other flag has a text. */
	isSwitch?: true;
	/** Absent: the flag has no effect unless it is given. */
	default?: string;
	apply: (plan: RunPlan, flag: string, text: string) => void;
}

/** Flags that `--help` shows together, by name. */
export type FlagGroup = Readonly<Record<string, Flag>>;
