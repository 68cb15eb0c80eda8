/**
 * `--features +reporting,-hint`: which feature bits the device offers, by the names that people use for them; and the
 * same switches under the longer names that `--balloon` shares with QEMU and cloud-hypervisor.
 */
import {UsageError} from '../errors.js';
import type {BalloonFeatureOptions} from '../virtio/balloon/features.js';

type Feature = keyof BalloonFeatureOptions;

/** In the order of the feature bits. */
const FEATURES: readonly {name: string; balloonKey: string; feature: Feature}[] = [
	{name: 'must-tell-host', balloonKey: 'mustTellHost', feature: 'mustTellHost'},
	{name: 'stats', balloonKey: 'statistics', feature: 'statsVq'},
	{name: 'deflate-on-oom', balloonKey: 'deflateOnOom', feature: 'deflateOnOom'},
	{name: 'hint', balloonKey: 'freePageHinting', feature: 'freePageHint'},
	{name: 'poison', balloonKey: 'pagePoison', feature: 'pagePoison'},
	{name: 'reporting', balloonKey: 'freePageReporting', feature: 'pageReporting'},
	{name: 'indirect-desc', balloonKey: 'indirectDesc', feature: 'indirectDesc'},
	{name: 'event-idx', balloonKey: 'eventIdx', feature: 'eventIdx'},
	{name: 'in-order', balloonKey: 'inOrder', feature: 'inOrder'},
	{name: 'ring-reset', balloonKey: 'ringReset', feature: 'ringReset'},
];

/** The feature behind each key of `--balloon`. */
export const BALLOON_KEYS: Readonly<Record<string, Feature>> = Object.fromEntries(
	FEATURES.map(({balloonKey, feature}) => [balloonKey, feature]),
);

export function readFeatures(flag: string, text: string): BalloonFeatureOptions {
	const chosen: BalloonFeatureOptions = {};
	for (const part of text.split(',').filter((piece) => piece !== '')) {
		const sign = part[0];
		const spelled = part.slice(1).toLowerCase().replaceAll('_', '-');
		const found = FEATURES.find(({name}) => name === spelled);
		if ((sign !== '+' && sign !== '-') || found === undefined) {
			throw new UsageError(
				`${flag} ${JSON.stringify(part)} is no feature that the device has; write +NAME or -NAME with one of ` +
					FEATURES.map(({name}) => name).join(', '),
				{flag, value: text},
			);
		}
		chosen[found.feature] = sign === '+';
	}
	return chosen;
}
