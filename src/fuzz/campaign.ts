/** Case after case from one seed, until a violation, the end of the time, or enough operations. */
import {Random, mix32} from '../guest-kernel/random.js';
import {shrink} from './shrink.js';
import {runCase, type FuzzCase, type FuzzTarget} from './target.js';
import {asViolation} from './violation.js';

export interface CampaignOptions {
	/** 32 bits; case n of a seed is always the same. */
	readonly seed: number;
	/** Asked after every case: whether to go on. */
	readonly more: (done: CampaignCount) => boolean;
	/** Cases that are run at most to make a failing one small. */
	readonly shrinkTrials?: number;
}

export interface CampaignCount {
	readonly cases: number;
	readonly operations: number;
}

export interface CampaignResult<Setup, Operation> extends CampaignCount {
	/** The first violation, shrunk. */
	readonly failure?: FuzzCase<Setup, Operation>;
	/** Its operations before that. */
	readonly failureLength?: number;
}

export function runCampaign<Setup, Operation>(
	target: FuzzTarget<Setup, Operation>,
	{seed, more, shrinkTrials}: CampaignOptions,
): CampaignResult<Setup, Operation> {
	let cases = 0;
	let operations = 0;
	do {
		const caseSeed = mix32(seed + cases * 0x1_0001);
		const random = new Random(caseSeed);
		const setup = target.randomSetup(random);
		const script: Operation[] = [];
		try {
			const world = target.openScripted(setup, random);
			while (script.length < target.length) {
				script.push(world.next());
				world.step(script.at(-1)!);
			}
			world.finish();
		} catch (error) {
			const {code} = asViolation(error);
			const same = (candidate: readonly Operation[]): boolean =>
				runCase(target, setup, candidate).violation?.code === code;
			const shrunk = shrink(script, same, shrinkTrials);
			const detail = (runCase(target, setup, shrunk).violation ?? asViolation(error)).message;
			const failure: FuzzCase<Setup, Operation> = {
				format: 'vmsim-fuzz',
				version: 1,
				target: target.name,
				setup,
				operations: shrunk,
				found: {code, detail, seed},
			};
			return {
				cases: cases + 1,
				operations: operations + script.length,
				failure,
				failureLength: script.length,
			};
		}
		cases++;
		operations += script.length;
	} while (more({cases, operations}));
	return {cases, operations};
}
