/** Which cases are for a device that somebody else configured: by what it offers, and by what its host can do. */
import {featureBits, ScriptedDriver} from '../../kit/scripted-driver.js';
import {balloonQueueNumbers, type QueueNumbering} from '../../virtio/balloon/spec.js';
import {parseFeatures, type GoldenCase} from './case.js';
import {parseStep, type HostDeed} from './step.js';
import {propertyFeature, type GoldenTarget} from './targets.js';

/** What a target has, as far as cases ask for it. */
export interface GoldenOffer {
	/** Bit n of the bigint is feature n. */
	readonly features: bigint;
	readonly queueNumbering: QueueNumbering;
	readonly deeds: ReadonlySet<HostDeed>;
}

/** Looks at one device of the target, as power-on leaves it. */
export async function offerOf(target: GoldenTarget): Promise<GoldenOffer> {
	const {device, host} = await target.start({});
	try {
		return {
			features: new ScriptedDriver(device.mmio, device.ram, device.ram.base).deviceFeatures(),
			queueNumbering: device.queueNumbering,
			deeds: new Set(Object.keys(host) as HostDeed[]),
		};
	} finally {
		await device.close();
	}
}

/** Why a case is not for the target: in the words of `vmsim conformance`; undefined if it is. */
export function whyNotApplicable(one: GoldenCase, offer: GoldenOffer): string | undefined {
	return (
		missingFeatures(one, offer) ??
		otherProperty(one, offer) ??
		otherQueue(one, offer) ??
		missingDeed(one, offer)
	);
}

function missingFeatures({features, declined = '0'}: GoldenCase, offer: GoldenOffer): string | undefined {
	const missing = (parseFeatures(features) | parseFeatures(declined)) & ~offer.features;
	const bits = Array.from({length: 64}, (_, bit) => bit).filter((bit) => missing & featureBits(bit));
	return bits.length > 0 ? `feature ${bits.join(', ')} is not offered` : undefined;
}

function otherProperty({device = {}}: GoldenCase, offer: GoldenOffer): string | undefined {
	const unlike = Object.entries(device)
		.map(([name, value]) => ({feature: propertyFeature(name), wanted: value === 'on'}))
		.filter(({feature, wanted}) => Boolean(offer.features & featureBits(feature)) !== wanted);
	const missing = unlike.filter(({wanted}) => wanted).map(({feature}) => feature);
	const extra = unlike.filter(({wanted}) => !wanted).map(({feature}) => feature);
	return missing.length > 0
		? `feature ${missing.join(', ')} is not offered`
		: extra.length > 0
			? `feature ${extra.join(', ')} is offered`
			: undefined;
}

/** The bytes of a case hold the numbers of its queues. */
function otherQueue({features, queue}: GoldenCase, {queueNumbering}: GoldenOffer): string | undefined {
	const number = balloonQueueNumbers(parseFeatures(features), queueNumbering).get(queue);
	const wanted = balloonQueueNumbers(parseFeatures(features)).get(queue);
	return number === wanted ? undefined : `${queue} is queue ${number}, the case needs it as ${wanted}`;
}

function missingDeed({input}: GoldenCase, {deeds}: GoldenOffer): string | undefined {
	const missing = input
		.map(parseStep)
		.filter((step) => step.kind === 'host')
		.find(({deed}) => !deeds.has(deed));
	return missing && `the target cannot do ${missing.deed}`;
}
