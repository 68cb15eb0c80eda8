/**
 * The balloon's configuration space, VIRTIO 1.4 5.5.4: struct virtio_balloon_config as bytes, little-endian. Accesses
 * may have any width and place, as QEMU has it; bytes merge. It ends behind the last field whose feature is offered.
 */
import type {ConfigWidth} from '../device.js';
import type {FeatureSet} from '../features.js';
import {VIRTIO_BALLOON_CONFIG, type BalloonConfigField} from './spec.js';

export type BalloonConfigFieldName = keyof typeof VIRTIO_BALLOON_CONFIG;

const FIELDS: readonly BalloonConfigField[] = Object.values(VIRTIO_BALLOON_CONFIG);
const FIELD_SIZE = 4;

export class BalloonConfig {
	readonly #view: DataView;

	constructor(offered: FeatureSet) {
		const present = FIELDS.filter(({feature}) => feature === undefined || offered.has(feature));
		this.#view = new DataView(new ArrayBuffer(Math.max(...present.map(({at}) => at)) + FIELD_SIZE));
	}

	/** A field's value; 0 if the space ends before it. */
	get(field: BalloonConfigFieldName): number {
		const {at} = VIRTIO_BALLOON_CONFIG[field];
		return at < this.#view.byteLength ? this.#view.getUint32(at, true) : 0;
	}

	set(field: BalloonConfigFieldName, value: number): void {
		const {at} = VIRTIO_BALLOON_CONFIG[field];
		if (at < this.#view.byteLength) {
			this.#view.setUint32(at, value, true);
		}
	}

	/** What the driver reads: bytes behind the end are 0xff. */
	read(offset: number, width: ConfigWidth): number {
		let value = 0;
		for (let i = width - 1; i >= 0; i--) {
			const at = offset + i;
			value = value * 256 + (at < this.#view.byteLength ? this.#view.getUint8(at) : 0xff);
		}
		return value;
	}

	/** What the driver writes lands in the given fields only; the others are read-only to it. */
	write(
		offset: number,
		width: ConfigWidth,
		value: number,
		writable: readonly BalloonConfigFieldName[],
	): void {
		for (let i = 0; i < width; i++) {
			const at = offset + i;
			const hit = writable.some((field) => {
				const start = VIRTIO_BALLOON_CONFIG[field].at;
				return at >= start && at < start + FIELD_SIZE && at < this.#view.byteLength;
			});
			if (hit) {
				this.#view.setUint8(at, (value >>> (8 * i)) & 0xff);
			}
		}
	}
}
