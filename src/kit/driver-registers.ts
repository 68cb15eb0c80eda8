/**
 * What a driver has written to the registers of a slot: the selectors, the features it took, the set-up of each queue
 * (VIRTIO 1.4 4.2.2), kept by somebody who watches the stores and may not read back what cannot be read.
 */
import {FeatureSet} from '../virtio/features.js';
import {QueueRegisters, type QueueArea} from '../virtio/queue-registers.js';
import {FEATURE_BITS, type MmioRegisterName} from '../virtio/spec.js';

const FEATURE_WORDS = FEATURE_BITS / 32;

export class DriverRegisters {
	queueSel = 0;
	readonly accepted = new FeatureSet();
	#deviceFeaturesSel = 0;
	#driverFeaturesSel = 0;
	readonly #queues = new Map<number, QueueRegisters>();
	/** Words of DeviceFeatures that the driver has read. */
	readonly #offered = new FeatureSet();
	readonly #wordsRead = new Set<number>();

	/** What was written about the queue that QueueSel names. */
	get selected(): QueueRegisters {
		let registers = this.#queues.get(this.queueSel);
		if (!registers) {
			registers = new QueueRegisters();
			this.#queues.set(this.queueSel, registers);
		}
		return registers;
	}

	/** What the device offers, as far as the driver has looked: of a word that it never read, what it took. */
	get offered(): FeatureSet {
		const offered = new FeatureSet();
		for (let word = 0; word < FEATURE_WORDS; word++) {
			const from = this.#wordsRead.has(word) ? this.#offered : this.accepted;
			offered.setWord(word, from.word(word));
		}
		return offered;
	}

	/** The driver has read DeviceFeatures. */
	featuresRead(value: number): void {
		this.#offered.setWord(this.#deviceFeaturesSel, value);
		this.#wordsRead.add(this.#deviceFeaturesSel);
	}

	written(name: MmioRegisterName, value: number): void {
		switch (name) {
			case 'QueueSel':
				this.queueSel = value;
				break;
			case 'DeviceFeaturesSel':
				this.#deviceFeaturesSel = value;
				break;
			case 'DriverFeaturesSel':
				this.#driverFeaturesSel = value;
				break;
			case 'DriverFeatures':
				this.accepted.setWord(this.#driverFeaturesSel, value);
				break;
			case 'QueueSize':
				this.selected.QueueSize = value;
				break;
			case 'QueueDescLow':
			case 'QueueDriverLow':
			case 'QueueDeviceLow':
				this.selected.writeAddress(areaOf(name), 'Low', value);
				break;
			case 'QueueDescHigh':
			case 'QueueDriverHigh':
			case 'QueueDeviceHigh':
				this.selected.writeAddress(areaOf(name), 'High', value);
				break;
			default: // nothing that has to be kept
		}
	}

	reset(): void {
		this.queueSel = this.#deviceFeaturesSel = this.#driverFeaturesSel = 0;
		this.#queues.clear();
		this.accepted.clear();
		this.#offered.clear();
		this.#wordsRead.clear();
	}
}

function areaOf(register: `${QueueArea}${'Low' | 'High'}`): QueueArea {
	return register.replace(/(Low|High)$/, '') as QueueArea;
}
