/**
 * Archives in cpio's "newc" form, which is what a kernel takes for an initramfs
 * (Linux 6.12 Documentation/driver-api/early-userspace/buffer-format.rst). Same entries, same bytes: no times, no owners.
 */

const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFCHR = 0o020000;
const TRAILER = 'TRAILER!!!';

export type CpioEntry =
	| {type: 'file'; path: string; mode: number; bytes: Uint8Array}
	| {type: 'directory'; path: string; mode: number}
	| {type: 'character-device'; path: string; mode: number; major: number; minor: number};

interface Header {
	ino: number;
	mode: number;
	nlink: number;
	sizeBytes: number;
	major: number;
	minor: number;
}

function align4(length: number): number {
	return Math.ceil(length / 4) * 4;
}

/** "070701", 13 fields of 8 hexadecimal digits, the name with its zero, padded to 4. */
function encodeHeader({ino, mode, nlink, sizeBytes, major, minor}: Header, path: string): Uint8Array {
	const name = new TextEncoder().encode(path);
	const fields = [ino, mode, 0, 0, nlink, 0, sizeBytes, 0, 0, major, minor, name.length + 1, 0];
	const text = '070701' + fields.map((field) => field.toString(16).padStart(8, '0')).join('');
	const header = new Uint8Array(align4(text.length + name.length + 1));
	header.set(new TextEncoder().encode(text));
	header.set(name, text.length);
	return header;
}

function headerOf(entry: CpioEntry, ino: number): Header {
	const plain = {ino, nlink: 1, sizeBytes: 0, major: 0, minor: 0};
	switch (entry.type) {
		case 'file':
			return {...plain, mode: S_IFREG | entry.mode, sizeBytes: entry.bytes.length};
		case 'directory':
			return {...plain, mode: S_IFDIR | entry.mode, nlink: 2};
		case 'character-device':
			return {...plain, mode: S_IFCHR | entry.mode, major: entry.major, minor: entry.minor};
	}
}

/** One archive of the entries in order; paths have no leading slash and a directory comes before what is in it. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
	const parts: Uint8Array[] = [];
	for (const [n, entry] of entries.entries()) {
		parts.push(encodeHeader(headerOf(entry, n + 1), entry.path));
		if (entry.type === 'file') {
			parts.push(entry.bytes, new Uint8Array(align4(entry.bytes.length) - entry.bytes.length));
		}
	}
	parts.push(encodeHeader({ino: 0, mode: 0, nlink: 1, sizeBytes: 0, major: 0, minor: 0}, TRAILER));
	return new Uint8Array(Buffer.concat(parts));
}
