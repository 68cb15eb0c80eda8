/** `--inspect`: the traffic as it happens, one line an event, on standard output. */
import {watchLive} from '../inspect/views/live.js';
import {formatLine} from '../inspect/views/line.js';
import type {Machine} from '../machine.js';
import {FdSink, LineOutput} from './fd-output.js';
import {LeavableSink} from './leavable-sink.js';

const STDOUT = 1;

export interface TrafficPrinter {
	/** Hands on what is buffered. False once nobody reads any more. */
	flush(): boolean;
	close(): void;
}

/** Begins to print a machine's traffic, if that was asked for. */
export function openTraffic(wanted: boolean, machine: Machine): TrafficPrinter | undefined {
	if (!wanted) {
		return undefined;
	}
	const sink = new LeavableSink(new FdSink(STDOUT));
	const out = new LineOutput(sink);
	const stop = watchLive(machine.trace, {
		onPacket: (packet, {linker}) => out.line(formatLine(packet, linker)),
	});
	const flush = () => {
		out.flush();
		return !sink.broken;
	};
	return {
		flush,
		close: () => {
			stop();
			flush();
		},
	};
}
