/**
 * Sees every access to a guest's memory before it happens, whoever makes it. The accessors of this one memory are
 * replaced, so that a run without a watch pays nothing; direct views of its words are no longer given out.
 * Inaccuracy: a CPU engine that goes through the frame map is not seen; our guest kernel and the devices do not.
 */
import type {GuestMemory} from './guest-memory.js';

export type AccessListener = (address: number, sizeBytes: number, write: boolean) => void;

const READS = {read8: 1, read16: 2, read32: 4} as const;
const WRITES = {write8: 1, write16: 2, write32: 4} as const;

export function watchAccesses(memory: GuestMemory, seen: AccessListener): void {
	for (const name of ['read8', 'read16', 'read32'] as const) {
		const access = memory[name].bind(memory);
		memory[name] = (address) => {
			seen(address, READS[name], false);
			return access(address);
		};
	}
	for (const name of ['write8', 'write16', 'write32'] as const) {
		const access = memory[name].bind(memory);
		memory[name] = (address, value) => {
			seen(address, WRITES[name], true);
			access(address, value);
		};
	}
	const readBytes = memory.readBytes.bind(memory);
	memory.readBytes = (address, into) => {
		seen(address, into.length, false);
		return readBytes(address, into);
	};
	const writeBytes = memory.writeBytes.bind(memory);
	memory.writeBytes = (address, bytes) => {
		seen(address, bytes.length, true);
		writeBytes(address, bytes);
	};
	const fill32 = memory.fill32.bind(memory);
	memory.fill32 = (address, sizeBytes, word) => {
		seen(address, sizeBytes, true);
		fill32(address, sizeBytes, word);
	};
	memory.directWords = () => undefined;
}
