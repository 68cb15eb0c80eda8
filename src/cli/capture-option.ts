/** `--capture FILE|-`: what the run's trace says goes into a pcapng file as it happens. */
import {Capture} from '../inspect/capture.js';
import type {Machine} from '../machine.js';
import {formatSize} from '../units.js';
import {FdSink} from './fd-output.js';
import {LeavableSink} from './leavable-sink.js';
import {OutputFile} from './output-file.js';

const STDOUT = 1;

export interface CaptureRequest {
	/** A file, or - for standard output. */
	path: string;
	/** Most payload bytes of a record. */
	snaplen: number;
}

export interface OpenCapture {
	/** Hands on what is buffered. False once nobody reads any more. */
	flush(): boolean;
	close(): void;
	/** Something could not be written, which was said on standard error. */
	readonly failed: boolean;
}

/**
 * Starts to capture a machine's traffic. `sample` is called before the end, for a last sample of the whole. Throws
 * UsageError if the file cannot be written. A disk that is full later costs the rest of the capture and not the run.
 */
export function openCapture(
	{path, snaplen}: CaptureRequest,
	machine: Machine,
	workload: string,
	sample: () => void = () => {},
): OpenCapture {
	const file = path === '-' ? undefined : new OutputFile('--capture', path);
	let failed = false;
	const sink = new LeavableSink(file ?? new FdSink(STDOUT, '--capture - (standard output)'), (error) => {
		failed = true;
		process.stderr.write(`vmsim: ${(error as Error).message}; the run goes on without\n`);
	});
	const capture = new Capture(machine.trace, sink, {
		snaplen,
		application: 'vmsim',
		hardware: `riscv virt, ${formatSize(machine.memory.sizeBytes)}`,
		comment: `workload ${workload}, seed ${machine.config.seed}`,
		packetBuffered: path === '-',
	});
	return {
		flush: () => {
			capture.flush();
			return !sink.broken;
		},
		close: () => {
			sample();
			capture.close();
			file?.close();
		},
		get failed() {
			return failed;
		},
	};
}
