/** Devices that differ from ours within what the specification allows: no check may fail for one of them. */
import type {DeviceFactory} from '../../src/kit/tested-device.js';
import type {GuestRam} from '../../src/host/ram.js';
import {mutant, type MutationParts, type Wire} from '../helpers/mutant-device.js';
import {withNotificationData} from './mutants/mutant.js';

export interface Variant {
	readonly name: string;
	/** The clause that allows it. */
	readonly clause: string;
	readonly create: DeviceFactory;
}

const MUST_TELL_HOST = 1;
const FEATURES_OK = 8;
/** In the second word of features. */
const IN_ORDER = 8;
const MS = 1e6;

export const VARIANTS: readonly Variant[] = [
	{
		name: 'frees nothing',
		clause: '5.5.6.2',
		create: mutant({memory: () => ({discard: () => ({freedBytes: 0, hugePagesSplit: 0})})}),
	},
	{
		name: 'refuses a driver without MUST_TELL_HOST',
		clause: '5.5.3.2',
		create: mutant({
			registers: ({wire}) => ({
				read: (name, value) =>
					name === 'Status' && (wire.driverFeatures[0]! & MUST_TELL_HOST) === 0
						? value & ~FEATURES_OK
						: value,
			}),
		}),
	},
	{
		name: 'works a millisecond after every notification',
		clause: '2.7.13',
		create: mutant({
			registers: (lab) => ({
				write(name, value) {
					if (name !== 'QueueNotify') {
						return value;
					}
					lab.clock.after(MS, () => lab.write(name, value));
					return undefined;
				},
			}),
		}),
	},
	{
		name: 'shows its old Status for a few reads of a reset',
		clause: '2.4.2',
		create: mutant({
			registers: ({wire}) => {
				let shown = 0;
				let reads = 0;
				return {
					write(name, value) {
						if (name === 'Status' && value === 0) {
							[shown, reads] = [wire.status, wire.status === 0 ? 0 : 3];
						}
						return value;
					},
					read: (name, value) => (name === 'Status' && reads > 0 && reads-- > 0 ? shown : value),
				};
			},
		}),
	},
	{
		name: 'is done with a reset a millisecond later, and loses what is written until then',
		clause: '2.4.2',
		create: mutant({
			registers: (lab) => {
				let busy = false;
				return {
					write(name, value) {
						if (busy) {
							return undefined;
						}
						if (name !== 'Status' || value !== 0 || lab.wire.status === 0) {
							return value;
						}
						busy = true;
						lab.clock.after(MS, () => {
							busy = false;
							lab.write('Status', 0);
						});
						return undefined;
					},
				};
			},
		}),
	},
	{
		name: 'with IN_ORDER answers for all buffers of a batch with one element',
		clause: '2.7.9',
		create: mutant({memory: inBatches}),
	},
	{
		name: 'with MUST_TELL_HOST discards at the next inflate or deflate',
		clause: '5.5.6.2',
		create: mutant(lazily()),
	},
	{
		name: 'offers NOTIFICATION_DATA, and needs none of it',
		clause: '2.9',
		create: mutant({registers: withNotificationData((word) => word & 0xffff)}),
	},
	{
		name: 'answers only whole words of the configuration',
		clause: '4.2.2.2',
		create: mutant({registers: () => ({config: (_, width, value) => (width === 4 ? value : 0)})}),
	},
	{
		name: 'has queues of 16 entries at most',
		clause: '4.2.2',
		create: mutant({
			registers: () => ({
				read: (name, value) => (name === 'QueueSizeMax' ? Math.min(value, 16) : value),
			}),
		}),
	},
	{
		name: 'counts used buffers in guest memory',
		clause: '2.7.8',
		create: mutant({
			memory: (ram, wire) => ({
				write16(address, value) {
					const own = wire.rings.some(({used}) => used !== 0 && address === used + 2);
					const jumped = own && ((value - ram.read16(address)) & 0xffff) > 256;
					ram.write16(address, jumped ? (ram.read16(address) + 1) & 0xffff : value);
				},
			}),
		}),
	},
];

/** What is pushed waits until there is nothing more to take; then the last element goes into the slot of the first. */
function inBatches(ram: GuestRam, wire: Wire): Partial<GuestRam> {
	const inOrder = () => (wire.driverFeatures[1]! & IN_ORDER) !== 0;
	let waiting: {address: number; value: number}[] = [];
	return {
		write32(address, value) {
			const {used, size} = wire.inflate;
			if (inOrder() && used !== 0 && address >= used + 4 && address < used + 4 + 8 * size) {
				waiting.push({address, value});
			} else {
				ram.write32(address, value);
			}
		},
		write16(address, value) {
			const {used, avail} = wire.inflate;
			if (address !== used + 2 || waiting.length < 2) {
				ram.write16(address, value);
			} else if (value === ram.read16(avail + 2)) {
				const [id, length] = waiting.slice(-2);
				ram.write32(waiting[0]!.address, id!.value);
				ram.write32(waiting[1]!.address, length!.value);
				ram.write16(address, value);
				waiting = [];
			}
		},
	};
}

/** Pages of the balloon wait for the next time that the device looks at the inflate or the deflate queue. */
function lazily(): MutationParts {
	const due: [number, number][] = [];
	return {
		registers: () => ({
			write(name, value) {
				if (name === 'Status' && value === 0) {
					due.length = 0;
				}
				return value;
			},
		}),
		memory: (ram, wire) => ({
			discard(base, sizeBytes) {
				if (wire.notified === 0 && wire.driverFeatures[0]! & MUST_TELL_HOST) {
					due.push([base, sizeBytes]);
					return {freedBytes: 0, hugePagesSplit: 0};
				}
				return ram.discard(base, sizeBytes);
			},
			read16(address) {
				if ([0, 1].some((queue) => address === wire.ring(queue).avail + 2)) {
					due.splice(0).forEach(([base, sizeBytes]) => ram.discard(base, sizeBytes));
				}
				return ram.read16(address);
			},
		}),
	};
}
