/**
 * The last call into a device, in memory that two threads share: so that one thread can say where a device hangs in the
 * other.
 */
import type {TestedDevice} from '../kit/tested-device.js';
import {mmioRegisterAt} from '../virtio/spec.js';
import type {ConformanceTarget, TargetDevice} from './target.js';

const CALLS = [
	'createDevice',
	'read',
	'write',
	'settle',
	'advance',
	'an action of the host',
	'close',
] as const;
type Call = (typeof CALLS)[number];

export class LastCall {
	readonly shared: SharedArrayBuffer;
	/** Number of the call, and the offset of the register. */
	readonly #words: Int32Array;

	constructor(shared = new SharedArrayBuffer(8)) {
		this.shared = shared;
		this.#words = new Int32Array(shared);
	}

	note(call: Call, offset = 0): void {
		this.#words[1] = offset;
		this.#words[0] = CALLS.indexOf(call);
	}

	/** As a sentence ends: `write of QueueNotify`. */
	toString(): string {
		const [number, offset] = this.#words;
		const call = CALLS[number!]!;
		const register = mmioRegisterAt(offset!) ?? `offset 0x${offset!.toString(16)}`;
		return call === 'read' || call === 'write' ? `${call} of ${register}` : call;
	}

	/** The target, and every call into its devices noted. */
	onTarget(target: ConformanceTarget): ConformanceTarget {
		return {
			name: target.name,
			start: async (ramBytes) => {
				this.note('createDevice');
				return this.#onDevice(await target.start(ramBytes));
			},
			close: () => target.close(),
		};
	}

	#onDevice(device: TargetDevice): TargetDevice {
		const noted = <A extends unknown[], R>(call: Call, act: (...args: A) => R) => {
			return (...args: A): R => {
				this.note(call);
				return act(...args);
			};
		};
		const actions = [
			'setTargetPages',
			'requestStats',
			'stats',
			'startHinting',
			'stopHinting',
			'doneHinting',
		] as const;
		const host: Partial<Record<keyof TestedDevice, unknown>> = {};
		for (const name of actions) {
			const action = device.host[name] as ((...args: unknown[]) => unknown) | undefined;
			host[name] = action && noted('an action of the host', action.bind(device.host));
		}
		return {
			...device,
			host: host as TargetDevice['host'],
			mmio: {
				read: (offset, width) => {
					this.note('read', offset);
					return device.mmio.read(offset, width);
				},
				write: (offset, width, value) => {
					this.note('write', offset);
					device.mmio.write(offset, width, value);
				},
			},
			settle: noted('settle', () => device.settle()),
			advance: noted('advance', (ns: number) => device.advance(ns)),
			close: noted('close', () => device.close()),
		};
	}
}
