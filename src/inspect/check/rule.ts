/** What a protocol rule is, and what a broken one reports. */
import type {VmEvent} from '../../events.js';
import type {ProtocolState} from './state.js';

/** Who broke it: the driver in the guest, the device, or the capture cannot tell. */
export type Party = 'driver' | 'device';

export interface Rule {
	/** Stable name, for scripts: `chain-loop`. */
	readonly id: string;
	readonly party: Party;
	/** Where it is written: a clause of VIRTIO 1.4. A violation has the one of the queue on which it happened. */
	readonly clause: string;
	/** The rule in one sentence. */
	readonly text: string;
	/** A warning is something that a healthy driver of the field does; it does not fail a check. */
	readonly severity: 'error' | 'warning';
}

export interface Violation {
	readonly rule: Rule;
	/** Packet in the capture, from 1; 0 when watching live. */
	readonly number: number;
	readonly timeNs: number;
	/** What was found, with the numbers. */
	readonly detail: string;
	/** The bytes that show it, as they lie in guest memory or in the record. */
	readonly bytes: Uint8Array;
	/** Packets that it is about besides `number`: the chain's avail entry, say. */
	readonly related: readonly number[];
}

export interface Finding {
	readonly detail: string;
	readonly bytes?: Uint8Array;
	readonly related?: readonly number[];
	/** Where it happened, if that is not the event at hand. */
	readonly at?: {readonly number: number; readonly timeNs: number};
}

export type Report = (rule: Rule, finding: Finding) => void;

/** Rules about one thing. `state` is how things stood before the event. */
export interface RuleFamily {
	readonly rules: readonly Rule[];
	observe(event: VmEvent, state: ProtocolState, report: Report): void;
	/** The capture has ended. */
	finish?(state: ProtocolState, report: Report): void;
}

export function rule(
	id: string,
	party: Party,
	clause: string,
	text: string,
	severity: Rule['severity'] = 'error',
): Rule {
	return {id, party, clause: clause.startsWith('VIRTIO') ? clause : `VIRTIO 1.4 ${clause}`, text, severity};
}

/** Little-endian words as bytes, to show a value that is in no payload. */
export function words(width: 2 | 4 | 8, ...values: readonly number[]): Uint8Array {
	const bytes = new Uint8Array(width * values.length);
	const view = new DataView(bytes.buffer);
	values.forEach((value, index) => {
		const at = width * index;
		if (width === 2) {
			view.setUint16(at, value, true);
		} else {
			view.setUint32(at, value % 2 ** 32, true);
			if (width === 8) {
				view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
			}
		}
	});
	return bytes;
}
