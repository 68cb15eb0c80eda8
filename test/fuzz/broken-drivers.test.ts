/** The invariants of the hostile device's campaign, proved by drivers that are broken in one place each. */
import test from 'ava';
import {HartAccesses} from '../../src/cpu-lite/hart-accesses.js';
import {runCampaign} from '../../src/fuzz/campaign.js';
import {runCase} from '../../src/fuzz/target.js';
import type {ViolationCode} from '../../src/fuzz/violation.js';
import {UsedWait} from '../../src/guest-kernel/drivers/balloon/used-wait.js';
import {DescriptorTable} from '../../src/guest-kernel/drivers/descriptor-table.js';
import {VirtioDevice} from '../../src/guest-kernel/drivers/virtio-bus.js';
import {VirtioMmio, type AnyVirtqueue} from '../../src/guest-kernel/drivers/virtio-mmio.js';
import {Virtqueue} from '../../src/guest-kernel/drivers/virtqueue.js';
import type {KernelThread} from '../../src/guest-kernel/task.js';
import type {Hart} from '../../src/cpu-lite/hart.js';
import {PAGE_SIZE} from '../../src/units.js';
import {availElemOffset, VIRTQ_AVAIL, VIRTQ_DESC, VIRTQ_USED} from '../../src/virtio/ring-layout.js';
import {MMIO_REGISTERS} from '../../src/virtio/spec.js';
import {defect, type Defect} from '../helpers/defect.js';
import {DRIVER_TARGET} from './driver-target.js';

/** A lie about the used ring for which the device is not given up. */
function tolerates(lie: RegExp): Defect {
	return defect(
		VirtioDevice.prototype,
		'fail',
		(original) =>
			function (why: string) {
				if (!lie.test(why)) {
					original.call(this, why);
					return;
				}
				for (const queue of (this as VirtioDevice).transport.queues) {
					queue.broken = false;
				}
			},
	);
}

/** Looks once whether a buffer was used, and goes on as if it was. */
function impatientOn(name: string): Defect {
	return defect(
		UsedWait.prototype,
		'used',
		(original) =>
			function* (queue: AnyVirtqueue): KernelThread<boolean> {
				if (queue.name !== name) {
					return yield* original.call(this, queue) as KernelThread<boolean>;
				}
				queue.getBuf();
				return true;
			},
	);
}

/** With every interrupt the driver writes a 16-bit word for each ring that has one; by default what is there already. */
function writes(
	place: (queue: AnyVirtqueue, hart: Hart) => {at: number; value?: number} | undefined,
): Defect {
	return defect(
		VirtioMmio.prototype,
		'interrupt',
		(original) =>
			function () {
				const {slot, queues} = this as VirtioMmio;
				for (const queue of queues) {
					const word = place(queue, slot.hart);
					if (word) {
						slot.hart.store16(word.at, word.value ?? slot.hart.load16(word.at));
					}
				}
				return original.call(this) as unknown;
			},
	);
}

const both =
	(first: Defect, second: Defect): Defect =>
	(run) =>
		first(() => second(run));
const {release} = DescriptorTable.prototype;

/** One mistake each, and the invariants that may tell. */
const DEFECTS: Record<string, {with: Defect; caught: ViolationCode[]}> = {
	'used buffers are never heard of': {
		with: defect(Virtqueue.prototype, 'getBuf', () => () => undefined),
		caught: ['no-recovery'],
	},
	'a used id of a free head is passed over': {with: tolerates(/is not a head/), caught: ['used-ring']},
	'a used id outside of the ring is passed over': {with: tolerates(/out of range/), caught: ['used-ring']},
	'a used index ahead of all buffers is passed over': {with: tolerates(/ahead of us/), caught: ['used-ring']},
	'a used id of a free head ends the wait': {
		with: both(
			tolerates(/is not a head/),
			defect(
				Virtqueue.prototype,
				'getBuf',
				(original) =>
					function () {
						const isNews = (this as AnyVirtqueue).moreUsed();
						return (original.call(this) ?? (isNews && !this.broken ? {} : undefined)) as unknown;
					},
			),
		),
		caught: ['used-ring'],
	},
	'a buffer comes back twice': {
		with: defect(Virtqueue.prototype, 'getBuf', (original) => {
			const last = new WeakMap<object, unknown>();
			return function () {
				const token: unknown = original.call(this) ?? last.get(this as object);
				last.set(this as object, last.get(this as object) === token ? undefined : token);
				return token;
			};
		}),
		caught: ['used-ring'],
	},
	'any used length is believed': {
		with: defect(DescriptorTable.prototype, 'writableBytes', () => () => Infinity),
		caught: ['used-ring'],
	},
	'a page is released before its deflate is acknowledged': {
		with: impatientOn('deflate'),
		caught: ['frames'],
	},
	'the next message is written before the inflate is acknowledged': {
		with: impatientOn('inflate'),
		caught: ['stray-write', 'frames'],
	},
	'a report ends before the device is done with it': {
		with: impatientOn('reporting_vq'),
		caught: ['frames'],
	},
	'a chain is released twice': {
		with: defect(
			DescriptorTable.prototype,
			'release',
			(original) =>
				function (head: number) {
					original.call(this, head);
					original.call(this, head);
				},
		),
		caught: ['chain'],
	},
	'a descriptor is not counted when it comes back': {
		with: defect(
			DescriptorTable.prototype,
			'release',
			(original) =>
				function (head: number) {
					original.call(this, head);
					this.numFree -= 1;
				},
		),
		caught: ['chain'],
	},
	'descriptors are free as soon as they are offered': {
		with: both(
			defect(
				DescriptorTable.prototype,
				'add',
				(original) =>
					function (...lists) {
						const head = original.call(this, ...lists) as number;
						if (head >= 0) {
							release.call(this as DescriptorTable, head);
						}
						return head;
					},
			),
			defect(DescriptorTable.prototype, 'release', () => () => {}),
		),
		caught: ['chain', 'stray-write'],
	},
	'avail.idx goes back': {
		with: writes(({driverAddress, availIdx}) => ({
			at: driverAddress + VIRTQ_AVAIL.fields.idx.at,
			value: (availIdx - 1) & 0xffff,
		})),
		caught: ['chain'],
	},
	'the driver writes used.idx': {
		with: writes(({deviceAddress}) => ({at: deviceAddress + VIRTQ_USED.fields.idx.at})),
		caught: ['stray-write'],
	},
	'a descriptor is written while the device has it': {
		with: writes(({descAddress}) => ({at: descAddress + VIRTQ_DESC.fields.flags.at})),
		caught: ['stray-write'],
	},
	'an entry of the available ring is written again': {
		with: writes(({driverAddress, availIdx, num}) => ({
			at: driverAddress + availElemOffset((availIdx + num - 1) % num),
		})),
		caught: ['stray-write'],
	},
	'a page in the balloon is written': {
		with: writes(({descAddress, name, availIdx}, hart) =>
			name === 'inflate' && availIdx > 0
				? {at: PAGE_SIZE * hart.load32(hart.load32(descAddress))}
				: undefined,
		),
		caught: ['stray-write'],
	},
	'one of two interrupts is acknowledged': {
		with: defect(
			HartAccesses.prototype,
			'store32',
			(original) =>
				function (address: number, value: number) {
					const isAck = address % 0x1000 === MMIO_REGISTERS.InterruptACK.at && address < 0x8000_0000;
					original.call(this, address, isAck && value === 3 ? 1 : value);
				},
		),
		caught: ['registers'],
	},
	'DEVICE_NEEDS_RESET is not looked at': {
		with: defect(VirtioDevice.prototype, 'needsReset', () => () => false),
		caught: ['used-ring'],
	},
	'a device is given up without a reset': {
		with: defect(
			VirtioDevice.prototype,
			'fail',
			(original) =>
				function (why: string) {
					const {transport} = this as VirtioDevice;
					Object.defineProperty(transport, 'reset', {value: () => {}, configurable: true});
					original.call(this, why);
					Reflect.deleteProperty(transport, 'reset');
				},
		),
		caught: ['frames', 'chain'],
	},
	'the queues of a device that was given up go on': {
		with: defect(
			VirtioDevice.prototype,
			'fail',
			(original) =>
				function (why: string) {
					original.call(this, why);
					for (const queue of (this as VirtioDevice).transport.queues) {
						queue.broken = false;
					}
				},
		),
		caught: ['used-ring', 'chain', 'crash'],
	},
};

for (const [title, {with: install, caught}] of Object.entries(DEFECTS)) {
	test.serial(`a broken driver is caught: ${title}`, (t) => {
		install(() => {
			const {failure, failureLength, cases} = runCampaign(DRIVER_TARGET, {
				seed: 5,
				more: (done) => done.cases < 30,
				shrinkTrials: 120,
			});
			t.truthy(failure, 'nothing was found');
			t.log(
				`case ${cases}, ${failureLength} operations made ${failure!.operations.length}: ${failure!.found!.detail}`,
			);
			t.true(caught.includes(failure!.found!.code), JSON.stringify(failure!.found));
			t.true(failure!.operations.length <= Math.max(8, failureLength! / 10));
			const {violation} = runCase(DRIVER_TARGET, failure!.setup, failure!.operations);
			t.is(violation?.code, failure!.found!.code);
		});
	});
}
