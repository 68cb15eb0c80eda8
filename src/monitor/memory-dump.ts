/** `x/COUNTfSIZE ADDR` as gdb and QEMU have it: guest-physical memory as numbers. Layout as QEMU 7.2 monitor/misc.c. */
import type {GuestRam} from '../host/ram.js';
import {MonitorError} from './monitored.js';

const SIZES: Readonly<Record<string, number>> = {b: 1, h: 2, w: 4, g: 8};
const FORMATS = 'xduoc';
/** Bytes that one command prints at most. */
const MAX_BYTES = 65536;

export interface DumpFormat {
	count: number;
	/** x hex, d signed, u unsigned, o octal, c characters. */
	format: string;
	sizeBytes: number;
}

/** Reads `/16xb`, `/4dw`, `/g` or nothing. Throws MonitorError. */
export function parseDumpFormat(text: string): DumpFormat {
	const match = /^(?:\/(\d*)([a-z]*))?$/.exec(text);
	const letters = match?.[2] ?? '';
	const result: DumpFormat = {count: Number(match?.[1] || 1), format: 'x', sizeBytes: 4};
	for (const letter of letters) {
		if (FORMATS.includes(letter)) {
			result.format = letter;
		} else if (letter in SIZES) {
			result.sizeBytes = SIZES[letter]!;
		} else {
			throw new MonitorError(`invalid char in format: '${letter}' (formats x d u o c, sizes b h w g)`);
		}
	}
	if (!match) {
		throw new MonitorError(`invalid format: '${text}' (write x/16xb ADDR)`);
	}
	if (result.format === 'c') {
		result.sizeBytes = 1;
	}
	if (result.count < 1 || result.count * result.sizeBytes > MAX_BYTES) {
		throw new MonitorError(`a count of ${result.count}: legal are 1 to ${MAX_BYTES / result.sizeBytes}`);
	}
	return result;
}

/** A guest-physical address, decimal or 0x. Throws MonitorError. */
export function parseAddress(text: string): number {
	const value = /^(0x[0-9a-f]+|[0-9]+)$/i.test(text) ? Number(text) : NaN;
	if (!Number.isSafeInteger(value)) {
		throw new MonitorError(`invalid address: '${text}' (a guest-physical address such as 0x80000000)`);
	}
	return value;
}

/** The lines of a dump. Throws MonitorError where there is no RAM. */
export function dumpMemory(ram: GuestRam, address: number, {count, format, sizeBytes}: DumpFormat): string {
	const length = count * sizeBytes;
	if (!ram.contains(address, length)) {
		throw new MonitorError(`Cannot access memory: 0x${address.toString(16)} + ${length} bytes is not in RAM`);
	}
	const view = new DataView(ram.readBytes(address, new Uint8Array(length)).buffer);
	const lineBytes = sizeBytes === 1 ? 8 : 16;
	const lines: string[] = [];
	for (let at = 0; at < length; at += lineBytes) {
		const values: string[] = [];
		for (let item = at; item < Math.min(at + lineBytes, length); item += sizeBytes) {
			values.push(formatValue(readValue(view, item, sizeBytes), format, sizeBytes));
		}
		lines.push(`${(address + at).toString(16).padStart(16, '0')}: ${values.join(' ')}\n`);
	}
	return lines.join('');
}

function readValue(view: DataView, at: number, sizeBytes: number): bigint {
	let value = 0n;
	for (let byte = sizeBytes - 1; byte >= 0; byte--) {
		value = value * 256n + BigInt(view.getUint8(at + byte));
	}
	return value;
}

function formatValue(value: bigint, format: string, sizeBytes: number): string {
	const bits = sizeBytes * 8;
	const decimals = Math.ceil((bits * 10) / 33);
	switch (format) {
		case 'd':
			return BigInt.asIntN(bits, value).toString().padStart(decimals);
		case 'u':
			return value.toString().padStart(decimals);
		case 'o':
			return (value === 0n ? '0' : `0${value.toString(8)}`).padStart(Math.ceil(bits / 3));
		case 'c': {
			const text = String.fromCharCode(Number(value));
			return /[ -~]/.test(text) ? `'${text}'` : `'\\x${value.toString(16).padStart(2, '0')}'`;
		}
		default:
			return `0x${value.toString(16).padStart(bits / 4, '0')}`;
	}
}
