/**
 * Our balloon with one thing broken, for the proof that a conformance check can fail: its registers, its view of guest
 * memory or its chains are bent on the way in or out. The device itself is the real one.
 */
import type {AccessWidth} from '../../src/board/bus.js';
import {builtinDevice} from '../../src/kit/builtin-device.js';
import type {DeviceFactory, DeviceParts, TestedDevice} from '../../src/kit/tested-device.js';
import type {GuestRam} from '../../src/host/ram.js';
import {VirtioBalloon} from '../../src/virtio/balloon/balloon.js';
import type {DescriptorChain} from '../../src/virtio/chain.js';
import {MMIO_REGISTERS, mmioRegisterAt, type MmioRegisterName} from '../../src/virtio/spec.js';
import type {SplitVirtqueue} from '../../src/virtio/split-virtqueue.js';

/** The object with some members replaced; the others work as before, private fields included. */
export function bend<T extends object>(object: T, changes: Partial<T>): T {
	return new Proxy(object, {
		get(target, key) {
			if (key in changes) {
				return Reflect.get(changes, key) as unknown;
			}
			const value = Reflect.get(target, key, target) as unknown;
			return typeof value === 'function' ? (value.bind(target) as unknown) : value;
		},
	});
}

/** What a mutation knows of the driver: where the rings are, and what was written last. */
export class Wire {
	/** By queue: the low words that the driver wrote. */
	readonly rings: {size: number; desc: number; avail: number; used: number}[] = [];
	queueSel = 0;
	/** What the driver wrote to Status last. */
	status = 0;
	deviceFeaturesSel = 0;
	driverFeaturesSel = 0;
	/** The queue of the last notification. */
	notified = 0;
	/** What the driver accepts, by word. */
	readonly driverFeatures = [0, 0, 0, 0];

	get inflate(): {size: number; desc: number; avail: number; used: number} {
		return this.ring(0);
	}

	ring(queue: number) {
		return (this.rings[queue] ??= {size: 0, desc: 0, avail: 0, used: 0});
	}

	note(name: MmioRegisterName | undefined, value: number): void {
		switch (name) {
			case 'QueueSel':
				this.queueSel = value;
				break;
			case 'Status':
				this.status = value;
				if (value === 0) {
					this.driverFeatures.fill(0);
				}
				break;
			case 'DeviceFeaturesSel':
				this.deviceFeaturesSel = value;
				break;
			case 'DriverFeaturesSel':
				this.driverFeaturesSel = value;
				break;
			case 'QueueNotify':
				this.notified = value;
				break;
			case 'DriverFeatures':
				this.driverFeatures[this.driverFeaturesSel] = value;
				break;
			case 'QueueSize':
				this.ring(this.queueSel).size = value;
				break;
			case 'QueueDescLow':
				this.ring(this.queueSel).desc = value;
				break;
			case 'QueueDriverLow':
				this.ring(this.queueSel).avail = value;
				break;
			case 'QueueDeviceLow':
				this.ring(this.queueSel).used = value;
				break;
			default:
		}
	}
}

export interface Lab extends DeviceParts {
	readonly wire: Wire;
	/** The whole device behind the mutation. */
	readonly device: TestedDevice;
	read(register: MmioRegisterName): number;
	write(register: MmioRegisterName, value: number): void;
}

type Mutation = (lab: Lab) => {
	/** Instead of what the register reads. */
	read?: (name: MmioRegisterName, value: number) => number;
	/** Before the store reaches the device: another value, or undefined to swallow it. */
	write?: (name: MmioRegisterName, value: number) => number | undefined;
	/** After it. */
	wrote?: (name: MmioRegisterName, value: number) => void;
	config?: (offset: number, width: AccessWidth, value: number) => number;
	writeConfig?: (offset: number, width: AccessWidth, value: number) => number | undefined;
	host?: Partial<TestedDevice>;
};

/** How memory looks to the device. */
export type MemoryMutation = (ram: GuestRam, wire: Wire) => Partial<GuestRam>;

export interface MutationParts {
	registers?: Mutation;
	memory?: MemoryMutation;
	balloon?: (parts: DeviceParts) => VirtioBalloon;
}

export function mutant({registers, memory, balloon}: MutationParts): DeviceFactory {
	return (parts) => {
		const wire = new Wire();
		const ram = memory ? bend(parts.ram, memory(parts.ram, wire)) : parts.ram;
		const inner = {...parts, ram};
		const device = balloon ? builtinDevice(inner, balloon(inner)) : builtinDevice(inner);
		const at = (name: MmioRegisterName) => MMIO_REGISTERS[name].at;
		const changes =
			registers?.({
				...parts,
				wire,
				device,
				read: (name) => device.read(at(name), 4),
				write: (name, value) => device.write(at(name), 4, value),
			}) ?? {};
		return {
			...device,
			...changes.host,
			read(offset, width) {
				const value = device.read(offset, width);
				const name = mmioRegisterAt(offset);
				return name
					? (changes.read?.(name, value) ?? value)
					: (changes.config?.(offset - 0x100, width, value) ?? value);
			},
			write(offset, width, value) {
				const name = mmioRegisterAt(offset);
				const change = name ? changes.write : undefined;
				const sent = name
					? change
						? change(name, value)
						: value
					: changes.writeConfig
						? changes.writeConfig(offset - 0x100, width, value)
						: value;
				wire.note(name, value);
				if (sent !== undefined) {
					device.write(offset, width, sent);
				}
				if (name) {
					changes.wrote?.(name, value);
				}
			},
		};
	};
}

/** A balloon that sees one kind of chain otherwise than it is. */
export function balloonWithChains(
	queueName: string,
	change: (chain: DescriptorChain) => DescriptorChain,
): VirtioBalloon {
	class Bent extends VirtioBalloon {
		override processQueue(queue: SplitVirtqueue): void {
			const bent =
				this.queueName(queue.index) === queueName
					? bend(queue, {drain: (handle, most) => queue.drain((chain) => handle(change(chain)), most)})
					: queue;
			super.processQueue(bent);
		}
	}
	return new Bent({features: {mustTellHost: true, deflateOnOom: true, freePageHint: true, inOrder: true}});
}
