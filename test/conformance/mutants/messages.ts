/** Broken devices: what goes wrong with long messages and many of them. */
import {KiB, MiB, PAGE_SIZE} from '../../../src/units.js';
import {balloonWithChains, bend} from '../../helpers/mutant-device.js';
import {
	type Mutant,
	REPORTING_QUEUE,
	broken,
	chains,
	eachDiscard,
	lateDiscards,
	outstanding,
} from './mutant.js';

export const MESSAGE_MUTANTS: readonly Mutant[] = [
	eachDiscard(
		'BAL-07.message',
		'a page late in a list takes its neighbour with it',
		(at, base, sizeBytes) => [base, at > 64 ? sizeBytes + PAGE_SIZE : sizeBytes],
	),
	eachDiscard(
		'BAL-07.message',
		'after 256 discards for a message the page behind the right one goes',
		(at, base, sizeBytes) => [at > 256 ? base + PAGE_SIZE : base, sizeBytes],
	),
	frameNumber('frame numbers have 20 bits', 0x000f_ffff),
	frameNumber('the highest bit of a frame number is lost', 0x7fff_ffff),
	lateDiscards(
		'BAL-20.message',
		'after 16 pages of a message the rest goes after the acknowledgement',
		(at) => at >= 16,
	),
	lateDiscards('BAL-20.message', 'the last pages of 1024 go after the acknowledgement', (at) => at >= 511),
	lateDiscards(
		'BAL-20.batch',
		'in a batch the acknowledgement comes before the pages go',
		(_, ram, wire) => outstanding(ram, wire, 0) > 1,
	),
	broken('BAL-21.message', 'a deflate of more than four pages discards them', {
		balloon: ({ram}) =>
			balloonWithChains('deflateq', (chain) => {
				const bytes = new Uint8Array(chain.readableBytes);
				chain.copyReadable(0, bytes);
				const view = new DataView(bytes.buffer);
				for (let at = 0; bytes.length > 16 && at < bytes.length; at += 4) {
					ram.discard(view.getUint32(at, true) * PAGE_SIZE, PAGE_SIZE);
				}
				return chain;
			}),
	}),
	lateDiscards(
		'BAL-74.message',
		'only the first buffer of a report goes before the acknowledgement',
		(at, _, wire) => at >= 1 && wire.notified === REPORTING_QUEUE,
	),
	...[64 * KiB, 2 * MiB, 4 * MiB].map((length) =>
		eachDiscard(
			'BAL-76.message',
			`the page behind a report of ${length / KiB} KiB goes too`,
			(_, base, sizeBytes) => [base, sizeBytes === length ? sizeBytes + PAGE_SIZE : sizeBytes],
		),
	),
	eachDiscard('BAL-76.message', 'the page before a report of 2 MiB goes too', (_, base, sizeBytes) => [
		sizeBytes === 2 * MiB ? base - PAGE_SIZE : base,
		sizeBytes,
	]),
];

/** Frame numbers of inflates lose what the mask leaves out. */
function frameNumber(name: string, mask: number): Mutant {
	return chains('BAL-07.wide', name, 'inflateq', (chain) =>
		bend(chain, {
			copyReadable(offset, into) {
				const copied = chain.copyReadable(offset, into);
				for (let i = 0; i < copied; i++) {
					into[i]! &= mask >>> (8 * ((offset + i) % 4));
				}
				return copied;
			},
		}),
	);
}
