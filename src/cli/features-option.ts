/** `--features +reporting,-hint`: which feature bits the device offers, by the names people use for them. */
import type {BalloonConfig} from '../config.js';
import {UsageError} from '../errors.js';

type FeatureSwitch = {
	[K in keyof BalloonConfig]: BalloonConfig[K] extends boolean ? K : never;
}[keyof BalloonConfig];

/** Name on the command line -> the device's option. In the order of the feature bits. */
const FEATURES: Readonly<Record<string, FeatureSwitch>> = {
	'must-tell-host': 'mustTellHost',
	stats: 'statistics',
	'deflate-on-oom': 'deflateOnOom',
	hint: 'freePageHinting',
	poison: 'pagePoison',
	reporting: 'freePageReporting',
	'indirect-desc': 'indirectDesc',
	'event-idx': 'eventIdx',
	'ring-reset': 'ringReset',
};

export function readFeatures(flag: string, text: string): Partial<Record<FeatureSwitch, boolean>> {
	const chosen: Partial<Record<FeatureSwitch, boolean>> = {};
	for (const part of text.split(',').filter((piece) => piece !== '')) {
		const sign = part[0];
		const name = part.slice(1).toLowerCase().replaceAll('_', '-');
		const key = FEATURES[name];
		if ((sign !== '+' && sign !== '-') || key === undefined) {
			throw new UsageError(
				`${flag} ${JSON.stringify(part)} is no feature that the device has; write +NAME or -NAME with one of ` +
					Object.keys(FEATURES).join(', '),
				{flag, value: text},
			);
		}
		chosen[key] = sign === '+';
	}
	return chosen;
}
