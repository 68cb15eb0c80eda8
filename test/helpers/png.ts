/** Just enough of a PNG reader to look at a screenshot: 8 bits a channel, RGB or RGBA, not interlaced. */
import {inflateSync} from 'node:zlib';

export interface Picture {
	readonly width: number;
	readonly height: number;
	/** Red, green and blue as one number, 0xrrggbb. */
	pixel(x: number, y: number): number;
}

const SIGNATURE_BYTES = 8;
const CHANNELS: Readonly<Record<number, number>> = {2: 3, 6: 4};

export function readPng(file: Uint8Array): Picture {
	const bytes = Buffer.from(file);
	const parts: Buffer[] = [];
	let width = 0;
	let height = 0;
	let channels = 4;
	for (let at = SIGNATURE_BYTES; at < bytes.length;) {
		const length = bytes.readUInt32BE(at);
		const type = bytes.toString('latin1', at + 4, at + 8);
		const data = bytes.subarray(at + 8, at + 8 + length);
		if (type === 'IHDR') {
			width = data.readUInt32BE(0);
			height = data.readUInt32BE(4);
			channels = CHANNELS[data[9]!]!;
		} else if (type === 'IDAT') {
			parts.push(data);
		}
		at += 12 + length;
	}
	const stride = width * channels;
	const rows = unfilter(inflateSync(Buffer.concat(parts)), height, stride, channels);
	return {
		width,
		height,
		pixel(x, y) {
			const at = y * stride + x * channels;
			return rows[at]! * 65_536 + rows[at + 1]! * 256 + rows[at + 2]!;
		},
	};
}

/** Undoes the filter of each row: PNG specification 9.2. */
function unfilter(raw: Uint8Array, height: number, stride: number, channels: number): Uint8Array {
	const rows = new Uint8Array(height * stride);
	for (let y = 0; y < height; y++) {
		const filter = raw[y * (stride + 1)]!;
		for (let x = 0; x < stride; x++) {
			const left = x >= channels ? rows[y * stride + x - channels]! : 0;
			const up = y > 0 ? rows[(y - 1) * stride + x]! : 0;
			const corner = x >= channels && y > 0 ? rows[(y - 1) * stride + x - channels]! : 0;
			const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter]!;
			rows[y * stride + x] = raw[y * (stride + 1) + 1 + x]! + predicted;
		}
	}
	return rows;
}

function paeth(left: number, up: number, corner: number): number {
	const guess = left + up - corner;
	const [fromLeft, fromUp, fromCorner] = [left, up, corner].map((value) => Math.abs(guess - value)) as [
		number,
		number,
		number,
	];
	return fromLeft <= fromUp && fromLeft <= fromCorner ? left : fromUp <= fromCorner ? up : corner;
}

/** How much of a picture has each colour, most first. */
export function colors({width, height, pixel}: Picture): [color: number, share: number][] {
	const counts = new Map<number, number>();
	for (let y = 0; y < height; y++) {
		for (let x = 0; x < width; x++) {
			const color = pixel(x, y);
			counts.set(color, (counts.get(color) ?? 0) + 1);
		}
	}
	return [...counts]
		.sort((one, other) => other[1] - one[1])
		.map(([color, count]) => [color, count / (width * height)]);
}
