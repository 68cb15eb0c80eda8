/**
 * Configuration space: the driver's view must be of one moment, VIRTIO 1.4 2.5.1, and the device must say when it changed,
 * 4.2.2.1. A driver that cares reads ConfigGeneration, the fields, and ConfigGeneration again, until both are equal.
 */
import type {VmEvent} from '../../events.js';
import {MMIO_CONFIG_AT, MMIO_REGISTERS} from '../../virtio/spec.js';
import {BoundedMap} from '../bounds.js';
import {registerName} from '../names.js';
import {rule, words, type Report, type RuleFamily} from './rule.js';
import type {ProtocolState} from './state.js';

const TORN = rule(
	'config-torn',
	'driver',
	'2.5.1',
	'fields that were read while the generation changed are read again',
);
const SILENT = rule(
	'config-changed-silently',
	'device',
	'4.2.2.1',
	'ConfigGeneration changes whenever the driver could see two versions',
);

const GENERATION_AT = MMIO_REGISTERS.ConfigGeneration.at;
const FIELD_SIZE = 4;
/** Fields that a reading remembers: several times the balloon's four. */
const MAX_FIELDS = 64;

/** What the driver of one slot has read since it last looked at something else. */
interface Reading {
	/** ConfigGeneration as read before the fields; undefined if the driver did not look. */
	generation: number | undefined;
	/** Fields read since. */
	fields: {offset: number; number: number}[];
	/** A change came in between; the fields read before it are of an older version. */
	changedAt: number | undefined;
	/** The second look showed another generation: the driver must go back. */
	mustRepeat: boolean;
}

export class ConfigRules implements RuleFamily {
	readonly rules = [TORN, SILENT];
	readonly #reading = new Map<number, Reading>();
	/** Last value of each field, by slot and offset, and the generation count that it belongs to. */
	readonly #values = new Map<number, Map<number, {value: number; number: number}>>();

	observe(event: VmEvent, _: ProtocolState, report: Report): void {
		if (event.type === 'config-change') {
			this.#values.delete(event.device);
			const reading = this.#reading.get(event.device);
			if (reading && reading.fields.length > 0) {
				reading.changedAt ??= reading.fields.length;
			}
			return;
		}
		if (event.type === 'device-reset') {
			this.#values.delete(event.device);
			this.#reading.delete(event.device);
			return;
		}
		if (event.type !== 'mmio') {
			return;
		}
		if (event.offset >= MMIO_CONFIG_AT) {
			if (event.write) {
				this.#values.get(event.device)?.delete(event.offset);
				this.#leave(event.device, report);
			} else {
				this.#readField(event, _.number, report);
			}
		} else if (event.offset === GENERATION_AT && !event.write) {
			this.#readGeneration(event.device, event.value);
		} else {
			this.#leave(event.device, report);
		}
	}

	#readField(event: VmEvent & {type: 'mmio'}, number: number, report: Report): void {
		const {device, offset, value} = event;
		let values = this.#values.get(device);
		if (!values) {
			values = new BoundedMap(MAX_FIELDS);
			this.#values.set(device, values);
		}
		const before = values.get(offset);
		if (before && before.value !== value) {
			report(SILENT, {
				detail: `${registerName(offset)} was ${before.value}, is ${value}, and no generation changed`,
				bytes: words(4, before.value, value),
				related: [before.number],
			});
		}
		values.set(offset, {value, number});
		let reading = this.#reading.get(device);
		if (!reading) {
			reading = {generation: undefined, fields: [], changedAt: undefined, mustRepeat: false};
			this.#reading.set(device, reading);
		}
		if (reading.mustRepeat) {
			reading.mustRepeat = false;
			reading.fields = [];
		}
		if (reading.fields.length < MAX_FIELDS) {
			reading.fields.push({offset, number});
		}
		this.#torn(reading, event, report);
	}

	/** A field that is read in pieces, with a change between two of them. */
	#torn({fields, changedAt, generation}: Reading, event: VmEvent & {type: 'mmio'}, report: Report): void {
		if (changedAt === undefined || generation !== undefined || event.width >= FIELD_SIZE) {
			return;
		}
		const field = Math.floor(event.offset / FIELD_SIZE);
		const piece = fields.slice(0, changedAt).find(({offset}) => Math.floor(offset / FIELD_SIZE) === field);
		if (piece) {
			report(TORN, {
				detail: `${registerName(field * FIELD_SIZE)} in pieces, from before and after a change`,
				bytes: words(4, event.value),
				related: [piece.number],
			});
		}
	}

	#readGeneration(device: number, value: number): void {
		const reading = this.#reading.get(device);
		// A second look without the fields in between settles nothing.
		const moved =
			reading?.generation !== undefined && reading.fields.length > 0 && reading.generation !== value;
		const mustRepeat = moved || reading?.mustRepeat === true;
		this.#reading.set(device, {
			generation: value,
			fields: mustRepeat ? reading!.fields : [],
			changedAt: undefined,
			mustRepeat,
		});
	}

	/** The driver does something else: what it read, it believes. */
	#leave(device: number, report: Report): void {
		const reading = this.#reading.get(device);
		if (reading?.mustRepeat) {
			this.#report(reading, report);
		}
		this.#reading.delete(device);
	}

	#report({fields, generation}: Reading, report: Report): void {
		report(TORN, {
			detail: `${fields.map(({offset}) => registerName(offset)).join(', ')} read while the generation became ${generation}, and not read again`,
			bytes: words(4, generation ?? 0),
			related: fields.map(({number}) => number),
		});
	}
}
