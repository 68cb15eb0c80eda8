/** Two devices under the same legal sequences, as a target of the fuzz campaign: seeds, shrinking and case files. */
import type {FuzzTarget} from '../fuzz/target.js';
import type {Action, SequenceSetup} from './action.js';
import {ActionScript} from './action-script.js';
import {DifferentialWorld, type DifferentialPair} from './world.js';

/** Actions in a sequence: the first ten or so bring the device up. */
const ACTIONS = 40;

export function differentialTarget(pair: DifferentialPair): FuzzTarget<SequenceSetup, Action> {
	const open = (setup: SequenceSetup) => new DifferentialWorld(pair, setup);
	return {
		name: 'differential',
		length: ACTIONS,
		randomSetup: (random) => ({fill: random.next32()}),
		open,
		openScripted(setup, random) {
			const world = open(setup);
			const script = new ActionScript(random, world.driver);
			return {
				next: () => script.next(),
				step: (action) => world.step(action),
				finish: () => world.finish(),
			};
		},
	};
}
