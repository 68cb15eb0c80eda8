/**
 * One line of a golden case's input: bytes that the driver puts into memory, a register that it writes or reads, memory
 * that it looks at, or something that the host does. What a line says is what is done; nothing is encoded anew.
 */
import type {AccessWidth} from '../../board/bus.js';
import {UsageError} from '../../errors.js';
import {MMIO_CONFIG_AT, MMIO_REGISTERS, type MmioRegisterName} from '../../virtio/spec.js';
import {placeAddress} from './places.js';

/** What a golden case can ask of the host. `balloon` takes the bytes that are to be left to the guest. */
export const HOST_DEEDS = [
	'balloon',
	'query-balloon',
	'request-stats',
	'stats',
	'start-hinting',
	'done-hinting',
] as const;
export type HostDeed = (typeof HOST_DEEDS)[number];

export type Step =
	| {readonly kind: 'memory'; readonly address: number; readonly bytes: Uint8Array}
	| {readonly kind: 'write'; readonly offset: number; readonly width: AccessWidth; readonly value: number}
	| {readonly kind: 'read'; readonly what: string; readonly offset: number; readonly width: AccessWidth}
	| {readonly kind: 'look'; readonly what: string; readonly address: number; readonly sizeBytes: number}
	| {readonly kind: 'host'; readonly deed: HostDeed; readonly value: number}
	| {readonly kind: 'wait'; readonly ms: number};

/** The forms of a line, for the documentation and for whoever writes one that is none. */
export const STEP_FORMS = [
	['`PLACE: BYTES`, `PLACE: BYTES * N`', 'the driver writes bytes to memory, N times one after the other'],
	['`REGISTER = VALUE`', 'it writes a register, 32 bits wide; `REGISTER/W` is W bytes wide'],
	['`read REGISTER`', 'it reads one'],
	['`look PLACE:N`', 'it looks at N bytes of memory'],
	['`host DEED`', `the host's part: ${HOST_DEEDS.map((deed) => `\`${deed}\``).join(', ')}`],
	['`wait N ms`', 'nothing, for so long'],
] as const;

/** Throws UsageError for a line that has none of the forms. */
export function parseStep(line: string): Step {
	const step = parseMemory(line) ?? parseRegister(line) ?? parseLook(line) ?? parseDeed(line);
	if (!step) {
		throw new UsageError(`"${line}" is no step: legal are ${STEP_FORMS.map(([form]) => form).join('; ')}`);
	}
	return step;
}

function parseMemory(line: string): Step | undefined {
	const match = /^(\S+): ((?:[0-9a-f]{2}| )+?)(?: \* (\d+))?$/.exec(line);
	const address = match && placeAddress(match[1]!);
	if (address === null || address === undefined) {
		return undefined;
	}
	const once = Buffer.from(match![2]!.replaceAll(' ', ''), 'hex');
	const times = Number(match![3] ?? 1);
	return {kind: 'memory', address, bytes: Uint8Array.from(Buffer.alloc(once.length * times, once))};
}

function parseRegister(line: string): Step | undefined {
	const match = /^(read )?(\w+)(?:\+([0-9a-f]+))?(?:\/([1248]))?(?: = ([0-9a-f]{1,8}))?$/.exec(line);
	if (!match || (match[1] === undefined) !== (match[5] !== undefined)) {
		return undefined;
	}
	const base = match[2] === 'config' ? MMIO_CONFIG_AT : MMIO_REGISTERS[match[2] as MmioRegisterName]?.at;
	if (base === undefined) {
		return undefined;
	}
	const offset = base + parseInt(match[3] ?? '0', 16);
	const width = Number(match[4] ?? 4) as AccessWidth;
	return match[1] === undefined
		? {kind: 'write', offset, width, value: parseInt(match[5]!, 16)}
		: {kind: 'read', what: line.slice(match[1].length), offset, width};
}

function parseLook(line: string): Step | undefined {
	const match = /^look (\S+):(\d+)$/.exec(line);
	const address = match && placeAddress(match[1]!);
	return address === null || address === undefined
		? undefined
		: {kind: 'look', what: match![1]!, address, sizeBytes: Number(match![2])};
}

function parseDeed(line: string): Step | undefined {
	const wait = /^wait (\d+) ms$/.exec(line);
	if (wait) {
		return {kind: 'wait', ms: Number(wait[1])};
	}
	const match = /^host ([a-z-]+)(?: (\d+))?$/.exec(line);
	const deed = HOST_DEEDS.find((known) => known === match?.[1]);
	return deed && {kind: 'host', deed, value: Number(match![2] ?? 0)};
}
