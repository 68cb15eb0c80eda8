/**
 * The guest's reader of its flattened device tree: Devicetree specification 0.4, chapter 5, and what Linux's
 * drivers/of/fdt.c asks of it. It trusts nothing: every offset is checked against the block it points into.
 */
import type {Hart} from '../cpu-lite/hart.js';

const FDT_MAGIC = 0xd00d_feed;
/** The version this reader knows; a tree says which oldest version it can be read as. */
const FDT_VERSION = 17;
const HEADER_BYTES = 40;
/** Linux, arch/riscv/include/asm/pgtable.h: MAX_FDT_SIZE is one huge page. */
const MAX_FDT_SIZE = 2 * 1024 * 1024;
/** Deep enough for any board, shallow enough for the stack. */
const MAX_DEPTH = 64;

const FDT_BEGIN_NODE = 1;
const FDT_END_NODE = 2;
const FDT_PROP = 3;
const FDT_NOP = 4;
const FDT_END = 9;

/** The device tree is no device tree; a kernel that finds this stops. */
export class FdtError extends Error {
	override name = 'FdtError';
}

/** A range of addresses, bytes, half-open. */
export interface FdtRange {
	readonly base: number;
	readonly sizeBytes: number;
}

/** A node of the tree, with readers of the usual kinds of values. */
export class DeviceNode {
	/** With its unit address: `serial@10000000`; '' for the root. */
	readonly name: string;
	readonly parent: DeviceNode | undefined;
	readonly properties = new Map<string, Uint8Array>();
	readonly children: DeviceNode[] = [];

	constructor(name: string, parent: DeviceNode | undefined) {
		this.name = name;
		this.parent = parent;
	}

	has(property: string): boolean {
		return this.properties.has(property);
	}

	/** The property's 32-bit cells; an absent one has none. */
	cells(property: string): number[] {
		const value = this.properties.get(property) ?? new Uint8Array(0);
		const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
		return Array.from({length: value.length >>> 2}, (_, i) => view.getUint32(i * 4));
	}

	/** The first cell, if there is one. */
	cell(property: string): number | undefined {
		return this.cells(property)[0];
	}

	/** All cells as one number, as `linux,initrd-start` may have one or two of them. */
	number(property: string): number | undefined {
		return this.has(property) ? joinCells(this.cells(property)) : undefined;
	}

	/** The strings of a list. */
	strings(property: string): string[] {
		const value = this.properties.get(property);
		if (value === undefined || value.length === 0) {
			return [];
		}
		const text = new TextDecoder().decode(value);
		return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
	}

	/** The first string, if there is one. */
	string(property: string): string | undefined {
		return this.strings(property)[0];
	}

	isCompatible(name: string): boolean {
		return this.strings('compatible').includes(name);
	}

	/** A status other than `okay` (or none at all) means that the device is not to be used. */
	get isAvailable(): boolean {
		const status = this.string('status');
		return status === undefined || status === 'okay' || status === 'ok';
	}

	/** The `reg` property by the parent's #address-cells and #size-cells, whose defaults are 2 and 1 (2.3.5). */
	reg(): FdtRange[] {
		const addressCells = this.parent?.cell('#address-cells') ?? 2;
		const sizeCells = this.parent?.cell('#size-cells') ?? 1;
		const values = this.cells('reg');
		const step = addressCells + sizeCells;
		const ranges: FdtRange[] = [];
		for (let at = 0; step > 0 && at + step <= values.length; at += step) {
			const base = joinCells(values.slice(at, at + addressCells));
			ranges.push({base, sizeBytes: joinCells(values.slice(at + addressCells, at + step))});
		}
		return ranges;
	}
}

function joinCells(values: readonly number[]): number {
	return values.reduce((sum, cell) => sum * 2 ** 32 + cell, 0);
}

export class DeviceTree {
	readonly root: DeviceNode;
	/** The memory reservation block (5.3). */
	readonly reservations: readonly FdtRange[];
	readonly totalSize: number;
	readonly #phandles = new Map<number, DeviceNode>();

	constructor(root: DeviceNode, reservations: readonly FdtRange[], totalSize: number) {
		this.root = root;
		this.reservations = reservations;
		this.totalSize = totalSize;
		for (const node of this.nodes()) {
			const phandle = node.cell('phandle');
			if (phandle !== undefined) {
				this.#phandles.set(phandle, node);
			}
		}
	}

	/** Every node, parents before their children, in the order of the tree. */
	*nodes(from: DeviceNode = this.root): Generator<DeviceNode> {
		yield from;
		for (const child of from.children) {
			yield* this.nodes(child);
		}
	}

	/** The node at a path such as `/soc/serial@10000000`; a unit address may be left out where that is unambiguous. */
	find(path: string): DeviceNode | undefined {
		let node: DeviceNode | undefined = this.root;
		for (const part of path.split('/').filter((name) => name !== '')) {
			const exact: DeviceNode | undefined = node.children.find((child) => child.name === part);
			const alike: DeviceNode[] = node.children.filter((child) => child.name.split('@')[0] === part);
			node = exact ?? (alike.length === 1 ? alike[0] : undefined);
			if (!node) {
				return undefined;
			}
		}
		return node;
	}

	/** The available nodes that are compatible with a name, in the order of the tree. */
	compatible(name: string): DeviceNode[] {
		return [...this.nodes()].filter((node) => node.isCompatible(name) && node.isAvailable);
	}

	/** The memory of the machine: the `reg` of every node whose device_type is "memory" (3.4). */
	memory(): FdtRange[] {
		return [...this.nodes()]
			.filter((node) => node.string('device_type') === 'memory' && node.isAvailable)
			.flatMap((node) => node.reg());
	}

	byPhandle(phandle: number): DeviceNode | undefined {
		return this.#phandles.get(phandle);
	}
}

/** Reads the tree at a physical address through the hart's own loads, as a kernel does from a1. Throws FdtError. */
export function loadFdt(hart: Hart, address: number): DeviceTree {
	const header = hart.loadBytes(address, new Uint8Array(HEADER_BYTES));
	const totalSize = readHeader(new DataView(header.buffer)).totalSize;
	return parseFdt(hart.loadBytes(address, new Uint8Array(totalSize)));
}

/** Reads a whole blob. Throws FdtError that says what is wrong and where. */
export function parseFdt(bytes: Uint8Array): DeviceTree {
	if (bytes.length < HEADER_BYTES) {
		throw new FdtError(`${bytes.length} bytes are no device tree: its header alone has ${HEADER_BYTES}`);
	}
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const header = readHeader(view);
	if (header.totalSize > bytes.length) {
		throw new FdtError(`the device tree has ${header.totalSize} bytes, ${bytes.length} are here`);
	}
	const root = new StructureReader(bytes.subarray(0, header.totalSize), header).read();
	return new DeviceTree(root, readReservations(view, header), header.totalSize);
}

interface FdtHeader {
	totalSize: number;
	structureAt: number;
	structureSize: number;
	stringsAt: number;
	stringsSize: number;
	reservationsAt: number;
}

function readHeader(view: DataView): FdtHeader {
	const word = (index: number): number => view.getUint32(index * 4);
	if (word(0) !== FDT_MAGIC) {
		throw new FdtError(`no device tree: the first word is 0x${word(0).toString(16)}, not 0xd00dfeed`);
	}
	const header: FdtHeader = {
		totalSize: word(1),
		structureAt: word(2),
		stringsAt: word(3),
		reservationsAt: word(4),
		stringsSize: word(8),
		structureSize: word(9),
	};
	if (word(5) < FDT_VERSION || word(6) > FDT_VERSION) {
		throw new FdtError(`device tree version ${word(5)} (compatible with ${word(6)}), not ${FDT_VERSION}`);
	}
	const {totalSize, structureAt, structureSize, stringsAt, stringsSize, reservationsAt} = header;
	if (
		totalSize < HEADER_BYTES ||
		totalSize > MAX_FDT_SIZE ||
		structureAt % 4 !== 0 ||
		structureAt + structureSize > totalSize ||
		stringsAt + stringsSize > totalSize ||
		reservationsAt % 8 !== 0 ||
		reservationsAt >= totalSize
	) {
		throw new FdtError(`a block of the device tree lies outside its ${totalSize} bytes`);
	}
	return header;
}

/** Entries up to the one that is all zero. */
function readReservations(view: DataView, {reservationsAt, totalSize}: FdtHeader): FdtRange[] {
	const ranges: FdtRange[] = [];
	for (let at = reservationsAt; at + 16 <= totalSize; at += 16) {
		const [high, low, sizeHigh, sizeLow] = [0, 4, 8, 12].map((offset) => view.getUint32(at + offset)) as [
			number,
			number,
			number,
			number,
		];
		const range = {base: joinCells([high, low]), sizeBytes: joinCells([sizeHigh, sizeLow])};
		if (range.base === 0 && range.sizeBytes === 0) {
			return ranges;
		}
		ranges.push(range);
	}
	throw new FdtError('the memory reservation block has no end');
}

/** The structure block: a list of tokens (5.4). */
class StructureReader {
	readonly #bytes: Uint8Array;
	readonly #view: DataView;
	readonly #end: number;
	readonly #names: Uint8Array;
	#at: number;

	constructor(bytes: Uint8Array, {structureAt, structureSize, stringsAt, stringsSize}: FdtHeader) {
		this.#bytes = bytes;
		this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		this.#at = structureAt;
		this.#end = structureAt + structureSize;
		this.#names = bytes.subarray(stringsAt, stringsAt + stringsSize);
	}

	read(): DeviceNode {
		this.#expect(FDT_BEGIN_NODE);
		const root = this.#node(undefined, 0);
		this.#expect(FDT_END);
		return root;
	}

	/** A node after its FDT_BEGIN_NODE, up to and with its FDT_END_NODE. */
	#node(parent: DeviceNode | undefined, depth: number): DeviceNode {
		if (depth > MAX_DEPTH) {
			throw new FdtError(`nodes are nested more than ${MAX_DEPTH} deep`);
		}
		const node = new DeviceNode(this.#name(), parent);
		for (;;) {
			const token = this.#token();
			if (token === FDT_PROP) {
				const length = this.#word();
				const name = textAt(this.#names, this.#word());
				node.properties.set(name, this.#take(length));
			} else if (token === FDT_BEGIN_NODE) {
				node.children.push(this.#node(node, depth + 1));
			} else if (token === FDT_END_NODE) {
				return node;
			} else {
				throw new FdtError(`token ${token} before 0x${this.#at.toString(16)} inside node "${node.name}"`);
			}
		}
	}

	#expect(token: number): void {
		const found = this.#token();
		if (found !== token) {
			throw new FdtError(`token ${found} before 0x${this.#at.toString(16)}, expected ${token}`);
		}
	}

	#token(): number {
		let token = this.#word();
		while (token === FDT_NOP) {
			token = this.#word();
		}
		return token;
	}

	#word(): number {
		if (this.#at + 4 > this.#end) {
			throw new FdtError('the structure block ends in the middle');
		}
		this.#at += 4;
		return this.#view.getUint32(this.#at - 4);
	}

	/** `length` bytes and the padding behind them. */
	#take(length: number): Uint8Array {
		const value = this.#bytes.subarray(this.#at, this.#at + length);
		this.#at += Math.ceil(length / 4) * 4;
		if (this.#at > this.#end) {
			throw new FdtError('a value reaches over the end of the structure block');
		}
		return value;
	}

	#name(): string {
		const name = textAt(this.#bytes.subarray(0, this.#end), this.#at);
		this.#take(new TextEncoder().encode(name).length + 1);
		return name;
	}
}

/** The zero-terminated text at an offset. */
function textAt(bytes: Uint8Array, offset: number): string {
	const end = bytes.indexOf(0, offset);
	if (offset >= bytes.length || end < 0) {
		throw new FdtError(`no text at 0x${offset.toString(16)}`);
	}
	return new TextDecoder().decode(bytes.subarray(offset, end));
}
