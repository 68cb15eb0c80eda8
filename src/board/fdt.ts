/**
 * Writes a flattened device tree, format version 17: Devicetree specification 0.4, chapter 5. Everything in it is
 * big-endian. (A guest reads it with code of its own, src/guest-kernel/fdt.ts.)
 */
import {assert} from '../errors.js';

const FDT_MAGIC = 0xd00d_feed;
const FDT_VERSION = 17;
const FDT_LAST_COMPATIBLE_VERSION = 16;
const HEADER_BYTES = 40;
const FDT_BEGIN_NODE = 1;
const FDT_END_NODE = 2;
const FDT_PROP = 3;
const FDT_END = 9;

const TWO_32 = 2 ** 32;

/** A node. Properties keep their order; a value is its bytes, see `cells`, `cells64` and `strings`. */
export interface FdtNode {
	readonly name: string;
	readonly properties: readonly (readonly [name: string, value: Uint8Array])[];
	readonly children: readonly FdtNode[];
}

/** Memory that a kernel must not use (5.3). Bytes. */
export interface FdtReservation {
	readonly address: number;
	readonly sizeBytes: number;
}

export function node(
	name: string,
	properties: readonly (readonly [string, Uint8Array])[],
	children: readonly FdtNode[] = [],
): FdtNode {
	return {name, properties, children};
}

/** A property that is just there. */
export const EMPTY = new Uint8Array(0);

/** 32-bit cells. */
export function cells(...values: readonly number[]): Uint8Array {
	const bytes = new Uint8Array(values.length * 4);
	const view = new DataView(bytes.buffer);
	for (const [i, value] of values.entries()) {
		view.setUint32(i * 4, value);
	}
	return bytes;
}

/** 64-bit values, two cells each. Safe integers. */
export function cells64(...values: readonly number[]): Uint8Array {
	return cells(...values.flatMap((value) => [Math.floor(value / TWO_32), value % TWO_32]));
}

/** A string or a list of them, each with its terminating zero. */
export function strings(...values: readonly string[]): Uint8Array {
	return new TextEncoder().encode(values.map((value) => `${value}\0`).join(''));
}

/** Bytes that grow. */
class Output {
	#bytes = new Uint8Array(4096);
	length = 0;

	u32(value: number): void {
		this.bytes(cells(value));
	}

	bytes(more: Uint8Array): void {
		if (this.length + more.length > this.#bytes.length) {
			const grown = new Uint8Array(2 * (this.length + more.length));
			grown.set(this.#bytes);
			this.#bytes = grown;
		}
		this.#bytes.set(more, this.length);
		this.length += more.length;
	}

	/** Zeros up to a multiple of `boundary`. */
	align(boundary: number): void {
		this.bytes(new Uint8Array((boundary - (this.length % boundary)) % boundary));
	}

	get result(): Uint8Array {
		return this.#bytes.subarray(0, this.length);
	}
}

/** The strings block: every property name once. */
class StringTable {
	readonly output = new Output();
	readonly #offsets = new Map<string, number>();

	offsetOf(name: string): number {
		let offset = this.#offsets.get(name);
		if (offset === undefined) {
			offset = this.output.length;
			this.#offsets.set(name, offset);
			this.output.bytes(strings(name));
		}
		return offset;
	}
}

function writeNode(tree: FdtNode, structure: Output, names: StringTable): void {
	structure.u32(FDT_BEGIN_NODE);
	structure.bytes(strings(tree.name));
	structure.align(4);
	for (const [name, value] of tree.properties) {
		assert(
			/^[\w,.+?#-]{1,31}$/.test(name),
			`"${name}" is a property name (Devicetree specification, table 2.2)`,
		);
		structure.u32(FDT_PROP);
		structure.u32(value.length);
		structure.u32(names.offsetOf(name));
		structure.bytes(value);
		structure.align(4);
	}
	for (const child of tree.children) {
		assert(/^[\w,.+-]{1,31}(@[\w,.+-]+)?$/.test(child.name), `"${child.name}" is a node name (table 2.1)`);
		writeNode(child, structure, names);
	}
	structure.u32(FDT_END_NODE);
}

/** The bytes of a tree whose root has the name ''. Its length is the header's totalsize. */
export function writeFdt(
	root: FdtNode,
	{reservations = [], bootCpu = 0}: {reservations?: readonly FdtReservation[]; bootCpu?: number} = {},
): Uint8Array {
	const structure = new Output();
	const names = new StringTable();
	writeNode(root, structure, names);
	structure.u32(FDT_END);

	const blob = new Output();
	const structureAt = HEADER_BYTES + 16 * (reservations.length + 1);
	const stringsAt = structureAt + structure.length;
	for (const word of [
		FDT_MAGIC,
		stringsAt + names.output.length,
		structureAt,
		stringsAt,
		HEADER_BYTES,
		FDT_VERSION,
		FDT_LAST_COMPATIBLE_VERSION,
		bootCpu,
		names.output.length,
		structure.length,
	]) {
		blob.u32(word);
	}
	for (const {address, sizeBytes} of [...reservations, {address: 0, sizeBytes: 0}]) {
		blob.bytes(cells64(address, sizeBytes));
	}
	blob.bytes(structure.result);
	blob.bytes(names.output.result);
	return blob.result.slice();
}
