/** `--capture FILE|-`: what the run's trace says goes into a pcapng file as it happens. */
import {closeSync, openSync} from 'node:fs';
import {UsageError} from '../errors.js';
import {Capture} from '../inspect/capture.js';
import type {Machine} from '../machine.js';
import {formatSize} from '../units.js';
import {FdSink} from './fd-output.js';
import {LeavableSink} from './leavable-sink.js';

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
}

/**
 * Starts to capture a machine's traffic. `sample` is called before the end, for a last sample of the whole. Throws
 * UsageError if the file cannot be written.
 */
export function openCapture(
	{path, snaplen}: CaptureRequest,
	machine: Machine,
	workload: string,
	sample: () => void = () => {},
): OpenCapture {
	let descriptor: number;
	try {
		descriptor = path === '-' ? STDOUT : openSync(path, 'w');
	} catch (error) {
		throw new UsageError(
			`--capture ${JSON.stringify(path)} cannot be written: ${(error as Error).message}`,
			{},
			error,
		);
	}
	const sink = new LeavableSink(new FdSink(descriptor));
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
			if (descriptor !== STDOUT) {
				closeSync(descriptor);
			}
		},
	};
}
