/** Plays a golden case on a fresh device, byte for byte, and says what came of it. */
import {ScriptedDriver} from '../../kit/scripted-driver.js';
import {NS_PER_MS, PAGE_SIZE} from '../../units.js';
import {balloonQueueNumbers} from '../../virtio/balloon/spec.js';
import {VIRTQ_USED, usedElemOffset} from '../../virtio/ring-layout.js';
import {UsageError, VmsimError} from '../../errors.js';
import {MonitorError} from '../../monitor/monitored.js';
import type {TargetDevice} from '../target.js';
import {parseFeatures, type GoldenCase, type GoldenOutcome} from './case.js';
import {pageAddress, queuePlace} from './places.js';
import {parseStep, type HostDeed, type Step} from './step.js';
import type {GoldenHost, GoldenTarget} from './targets.js';

/** Every byte of a page that a case names, before the input. */
const FILL = 0xab;

export async function playGolden(one: GoldenCase, target: GoldenTarget): Promise<GoldenOutcome> {
	const {device, host} = await target.start(one.device ?? {});
	try {
		return await new GoldenRun(one, device, host).play();
	} finally {
		await device.close();
	}
}

class GoldenRun {
	readonly #case: GoldenCase;
	readonly #device: TargetDevice;
	readonly #host: GoldenHost;
	readonly #driver: ScriptedDriver;
	readonly #seen: string[] = [];

	constructor(one: GoldenCase, device: TargetDevice, host: GoldenHost) {
		this.#case = one;
		this.#device = device;
		this.#host = host;
		// The case brings every byte: nothing is allocated.
		this.#driver = new ScriptedDriver(device.mmio, device.ram, device.ram.base);
	}

	async play(): Promise<GoldenOutcome> {
		const {ram} = this.#device;
		const pages = parsePages(this.#case.pages ?? '');
		for (const page of pages) {
			ram.writeBytes(pageAddress(page), new Uint8Array(PAGE_SIZE).fill(FILL));
		}
		await this.#prepare();
		const generation = this.#driver.read('ConfigGeneration');
		for (const line of this.#case.input) {
			await this.#take(parseStep(line));
		}
		await this.#device.settle();
		const driver = this.#driver;
		return {
			Status: byte(driver.read('Status')),
			InterruptStatus: byte(driver.read('InterruptStatus')),
			line: this.#device.interruptLevel() ? 'high' : 'low',
			generation: `+${driver.read('ConfigGeneration') - generation}`,
			...(['queues', 'driver-ok'].includes(this.#case.stage) && {used: this.#usedRing()}),
			...(pages.length > 0 && {pages: this.#describePages(pages)}),
			...(this.#seen.length > 0 && {seen: this.#seen}),
		};
	}

	/** VIRTIO 1.4 3.1.1, as far as the case wants it. */
	async #prepare(): Promise<void> {
		const {stage, size} = this.#case;
		if (stage === 'none') {
			return;
		}
		const features = parseFeatures(this.#case.features);
		this.#driver.negotiate(features);
		if (stage === 'features') {
			return;
		}
		for (const queue of balloonQueueNumbers(features).values()) {
			this.#driver.setupQueue(queue, size, queuePlace(queue));
		}
		if (stage === 'driver-ok') {
			this.#driver.driverOk();
		}
		await this.#device.settle();
	}

	async #take(step: Step): Promise<void> {
		const {mmio, ram} = this.#device;
		switch (step.kind) {
			case 'memory':
				ram.writeBytes(step.address, step.bytes);
				break;
			case 'write':
				mmio.write(step.offset, step.width, step.value);
				await this.#device.settle();
				break;
			case 'read': {
				const value = mmio.read(step.offset, step.width);
				this.#seen.push(`${step.what} ${value.toString(16).padStart(2 * step.width, '0')}`);
				break;
			}
			case 'look': {
				const bytes = ram.readBytes(step.address, new Uint8Array(step.sizeBytes));
				this.#seen.push(`${step.what} ${grouped(bytes)}`);
				break;
			}
			case 'host':
				await this.#askHost(step.deed, step.value);
				await this.#device.settle();
				break;
			case 'wait':
				await this.#device.advance(step.ms * NS_PER_MS);
				break;
		}
	}

	async #askHost(deed: HostDeed, value: number): Promise<void> {
		const act = this.#host[deed];
		if (!act) {
			this.#seen.push(`${deed} cannot be done`);
			return;
		}
		try {
			const answer = await act(value);
			if (answer !== undefined || deed === 'stats') {
				this.#seen.push(`${deed} ${describe(answer)}`);
			}
		} catch (error) {
			// Only a target can be refused; anything else is a host that broke down.
			if (deed !== 'balloon' || !(error instanceof VmsimError || error instanceof MonitorError)) {
				throw error;
			}
			this.#seen.push(`${deed} refused`);
		}
	}

	#usedRing(): string {
		const {size, queue, features} = this.#case;
		const number = balloonQueueNumbers(parseFeatures(features)).get(queue);
		if (number === undefined) {
			throw new UsageError(`case ${this.#case.id}: no ${queue} with the features ${features}`);
		}
		const {ram} = this.#device;
		const at = queuePlace(number).used;
		const written = Math.min(ram.read16(at + VIRTQ_USED.fields.idx.at), size);
		return grouped(ram.readBytes(at, new Uint8Array(usedElemOffset(written))));
	}

	/** "page0-2 zero, page3 kept" */
	#describePages(pages: readonly number[]): string {
		const runs: {first: number; last: number; state: string}[] = [];
		for (const page of pages) {
			const bytes = this.#device.ram.readBytes(pageAddress(page), new Uint8Array(PAGE_SIZE));
			const state = bytes.every((one) => one === 0)
				? 'zero'
				: bytes.every((one) => one === FILL)
					? 'kept'
					: 'changed';
			const run = runs.at(-1);
			if (run && run.last === page - 1 && run.state === state) {
				run.last = page;
			} else {
				runs.push({first: page, last: page, state});
			}
		}
		return runs
			.map(({first, last, state}) => `page${first}${last > first ? `-${last}` : ''} ${state}`)
			.join(', ');
	}
}

/** The numbers in "page0-3 page2047". */
function parsePages(text: string): number[] {
	return text
		.split(' ')
		.filter((part) => part !== '')
		.flatMap((part) => {
			const match = /^page(\d+)(?:-(\d+))?$/.exec(part);
			if (!match) {
				throw new UsageError(`pages "${text}": legal are page0, page0-3 with a space between`);
			}
			const first = Number(match[1]);
			return Array.from({length: Number(match[2] ?? first) - first + 1}, (_, i) => first + i);
		});
}

function describe(answer: unknown): string {
	if (!(answer instanceof Map)) {
		return answer === undefined ? 'none' : String(answer);
	}
	// QEMU tells statistics in the order of a hash.
	const entries = Array.from(answer as Map<number, bigint>).sort(([a], [b]) => a - b);
	return entries.map(([tag, value]) => `${tag}:${value}`).join(' ') || 'empty';
}

function byte(value: number): string {
	return value.toString(16).padStart(2, '0');
}

/** Bytes as they lie in memory: the two le16 at the start of a ring, then words. */
function grouped(bytes: Uint8Array): string {
	const text = Buffer.from(bytes).toString('hex');
	return text.replaceAll(/.{8}(?=.)/g, '$& ');
}
