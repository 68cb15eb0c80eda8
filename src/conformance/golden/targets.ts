/** Devices that golden cases are played on: ours and QEMU's with the properties that a case asks for, and any other. */
import {balloonPages, leftBytes} from '../../monitor/balloon-target.js';
import {QemuAhead} from '../../qemu/ahead.js';
import {QemuBalloon} from '../../qemu/balloon.js';
import type {QemuOptions, QemuProperties} from '../../qemu/process.js';
import {UsageError} from '../../errors.js';
import {VirtioBalloon} from '../../virtio/balloon/balloon.js';
import type {BalloonFeatureOptions} from '../../virtio/balloon/features.js';
import {
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_PAGE_REPORTING,
} from '../../virtio/balloon/spec.js';
import type {ConformanceTarget, TargetDevice} from '../target.js';
import type {MaybeAsync} from '../../kit/tested-device.js';
import {builtinDevice} from '../../kit/builtin-device.js';
import {DeviceTarget} from '../targets/device-target.js';
import {qemuDevice} from '../targets/qemu.js';
import type {HostDeed} from './step.js';

/** What the host does; it returns what it learned, or a promise of it. A deed that the host refuses throws. */
export type GoldenHost = Partial<Record<HostDeed, (value: number) => unknown>>;

export interface GoldenDevice {
	readonly device: TargetDevice;
	readonly host: GoldenHost;
}

export interface GoldenTarget {
	readonly name: string;
	/** A fresh device. */
	start(properties: QemuProperties): Promise<GoldenDevice>;
	/** No more devices are wanted. */
	close(): MaybeAsync<void>;
}

/** QEMU's properties: our names for them, and the feature that each one brings. */
const PROPERTIES: Readonly<Record<string, {option: keyof BalloonFeatureOptions; feature: number}>> = {
	'free-page-reporting': {option: 'pageReporting', feature: VIRTIO_BALLOON_F_PAGE_REPORTING},
	'free-page-hint': {option: 'freePageHint', feature: VIRTIO_BALLOON_F_FREE_PAGE_HINT},
	'page-poison': {option: 'pagePoison', feature: VIRTIO_BALLOON_F_PAGE_POISON},
	'deflate-on-oom': {option: 'deflateOnOom', feature: VIRTIO_BALLOON_F_DEFLATE_ON_OOM},
};

function knownProperty(name: string): (typeof PROPERTIES)[string] {
	const property = PROPERTIES[name];
	if (property === undefined) {
		throw new UsageError(`device property "${name}": legal are ${Object.keys(PROPERTIES).join(', ')}`);
	}
	return property;
}

/** The feature bit that a property brings. Throws UsageError for a property that no case can ask for. */
export function propertyFeature(name: string): number {
	return knownProperty(name).feature;
}

function featureOptions(properties: QemuProperties): BalloonFeatureOptions {
	return Object.fromEntries(
		Object.entries(properties).map(([name, value]) => [knownProperty(name).option, value === 'on']),
	);
}

export const builtinGoldenTarget: GoldenTarget = {
	name: 'vmsim',
	async start(properties) {
		const balloon = new VirtioBalloon({features: featureOptions(properties)});
		const target = new DeviceTarget('vmsim', (parts) => builtinDevice(parts, balloon));
		const {device, host} = await goldenTarget(target).start({});
		return {
			device,
			host: {...host, 'query-balloon': () => leftBytes(device.ram.sizeBytes, balloon.actualPages)},
		};
	},
	close() {},
};

const ahead = new QemuAhead();

export const qemuGoldenTarget: GoldenTarget = {
	name: 'QEMU',
	async start(properties) {
		const options: QemuOptions = {watch: 'sources', properties};
		const balloon = new QemuBalloon(options, ahead.take(options));
		return {
			device: qemuDevice(balloon),
			host: {
				balloon: (bytes) => balloon.setLogicalBytes(bytes),
				'query-balloon': () => balloon.logicalBytes(),
				'request-stats': () => balloon.requestStats(),
				stats: () => balloon.stats(),
				'start-hinting': () => balloon.startHinting(),
				'done-hinting': () => balloon.doneHinting(),
			},
		};
	},
	close: () => ahead.close(),
};

/** A target of the conformance kit, with the properties that it has: see applicability.ts. */
export function goldenTarget(target: ConformanceTarget): GoldenTarget {
	return {
		name: target.name,
		async start() {
			const device = await target.start();
			const {host, ram} = device;
			return {
				device,
				host: {
					...(host.setTargetPages && {
						balloon: (bytes) => host.setTargetPages!(balloonPages(ram.sizeBytes, bytes)),
					}),
					...(host.requestStats && {'request-stats': () => host.requestStats!()}),
					...(host.stats && {stats: () => host.stats!()}),
					...(host.startHinting && {'start-hinting': () => host.startHinting!()}),
					...(host.doneHinting && {'done-hinting': () => host.doneHinting!()}),
				},
			};
		},
		close: () => target.close(),
	};
}
