/**
 * The guest kernel, from its entry to power-off. It is entered as Linux is: in S-mode, with the hart's id and the address
 * of the device tree, and it has nothing but its hart (Documentation/arch/riscv/boot.rst, init/main.c).
 */
import {GuestTrap, type Hart} from '../cpu-lite/hart.js';
import {NO_TRACE, type Trace} from '../events.js';
import {NS_PER_S, PAGE_SIZE} from '../units.js';
import {VIRTIO_BALLOON_F_PAGE_REPORTING} from '../virtio/balloon/spec.js';
import {memoryLines} from './boot-log.js';
import {BootError, setupBootMemory} from './boot-memory.js';
import {balloonDriver, VirtioBalloon} from './drivers/balloon/balloon-driver.js';
import {bindDriver, findMmioSlots, registerVirtioDevices} from './drivers/platform.js';
import type {VirtioDevice} from './drivers/virtio-bus.js';
import {FdtError, loadFdt, type DeviceTree} from './fdt.js';
import {Interrupts} from './irq.js';
import type {GuestKernelOptions, GuestKernelParts, GuestKernelStats} from './kernel-options.js';
import {Kmalloc} from './kmalloc.js';
import {Lockdep} from './lockdep.js';
import {summarizeZone} from './mm/free-summary.js';
import {GFP_KERNEL} from './mm/gfp.js';
import {RISCV_ZONES} from './mm/memblock.js';
import {Memory} from './mm/memory.js';
import {PAGEBLOCK_ORDER} from './mm/page.js';
import {VmstatWorker} from './mm/vmstat-worker.js';
import {PagePoisoning} from './page-poison.js';
import {findPlic, Plic} from './plic.js';
import {Printk} from './printk.js';
import {Random} from './random.js';
import {PAGE_REPORTING_DELAY_NS} from './reporting/mainline.js';
import {readDesign, reportingDesign} from './reporting/registry.js';
import type {PageReporting} from './reporting/reporting.js';
import {Scheduler, type RunOptions, type RunOutcome, type Task} from './scheduler.js';
import type {KernelThread} from './task.js';
import {balloonStats} from './vm-stats.js';
import {SchedulerWorkQueue} from './workqueue.js';
import {PageContents} from './workload/page-contents.js';
import type {Workload} from './workload/workload.js';

/** What `run` was asked, without the thread that it waits for, which is the kernel's own. */
export type KernelRunOptions = Omit<RunOptions, 'main'>;

export class GuestKernel {
	readonly scheduler: Scheduler;
	readonly workQueue: SchedulerWorkQueue;
	readonly printk: Printk;
	readonly workload: Workload;
	readonly contents: PageContents;
	/** There from early in the boot on. */
	memory: Memory | undefined;
	interrupts: Interrupts | undefined;
	devices: readonly VirtioDevice[] = [];
	/** The reporting design at work; undefined with `off`. */
	reporting: PageReporting | undefined;
	poisoning: PagePoisoning | undefined;
	/** What lock checking has found, if it is on. */
	lockdep: Lockdep | undefined;
	readonly #hart: Hart;
	readonly #dtbAddress: number;
	readonly #options: GuestKernelOptions;
	readonly #trace: Trace;
	readonly #boot: Task;
	#init: Task | undefined;
	#memoryBytes = 0;
	#panic: string | undefined;

	constructor({hart, dtbAddress, workload, options = {}, trace = NO_TRACE}: GuestKernelParts) {
		this.#hart = hart;
		this.#dtbAddress = dtbAddress;
		this.#options = options;
		this.#trace = trace;
		this.workload = workload;
		this.scheduler = new Scheduler(hart);
		this.workQueue = new SchedulerWorkQueue(this.scheduler);
		this.printk = new Printk(hart, trace);
		this.contents = new PageContents(hart, trace, options.seed ?? 0);
		this.#boot = this.scheduler.spawn('swapper', this.#startKernel());
	}

	/** Runs until the kernel is up and about to start its workload: `finished`. `halted` if it panicked. */
	boot(options: KernelRunOptions = {}): RunOutcome {
		return this.#runMain(this.#boot, options);
	}

	/** Boots if that has not happened, and runs the workload: `finished` when it is done; see RunOutcome. */
	run(options: KernelRunOptions = {}): RunOutcome {
		const booted = this.boot(options);
		if (booted !== 'finished') {
			return booted;
		}
		this.#init ??= this.scheduler.spawn('init', this.#runInit());
		return this.#runMain(this.#init, options);
	}

	stats(): GuestKernelStats {
		const {checkedPages, failures} = this.contents;
		return {
			memoryBytes: this.#memoryBytes,
			zones: (this.memory?.zones ?? []).map((zone) =>
				summarizeZone(zone, this.reporting?.order ?? PAGEBLOCK_ORDER),
			),
			balloonPages: this.balloon?.numPages ?? 0,
			integrity: {checkedPages, failures: failures + (this.poisoning?.corrupted ?? 0)},
			panic: this.#panic,
		};
	}

	/** The balloon driver at work, if a balloon was found. */
	get balloon(): VirtioBalloon | undefined {
		return this.devices.map(({driver}) => driver).find((driver) => driver instanceof VirtioBalloon);
	}

	#runMain(main: Task, options: KernelRunOptions): RunOutcome {
		if (main.done) {
			return 'finished';
		}
		try {
			const outcome = this.scheduler.run({...options, main});
			return outcome === 'halted' && main.done ? 'finished' : outcome;
		} catch (error) {
			if (error instanceof GuestTrap || error instanceof BootError || error instanceof FdtError) {
				this.#doPanic(error.message);
				return 'halted';
			}
			throw error;
		}
	}

	#doPanic(why: string): void {
		this.#panic = why;
		this.printk.log(`Kernel panic - not syncing: ${why}`);
		this.scheduler.halt();
		this.#hart.systemReset('shutdown', true);
	}

	/** start_kernel: everything up to the first program. */
	*#startKernel(): KernelThread {
		const {log} = this.printk;
		log('Linux-like guest kernel of vmsim, after Linux 6.12, riscv64');
		const tree = loadFdt(this.#hart, this.#dtbAddress);
		log(`Machine model: ${tree.root.string('model') ?? 'unknown'}`);
		log(`Kernel command line: ${tree.find('/chosen')?.string('bootargs') ?? ''}`);
		const memory = this.#setupMemory(tree);
		this.#setupInterrupts(tree);
		this.#setupLockdep(memory);
		this.scheduler.spawn('kswapd0', memory.reclaim.kswapd());
		new VmstatWorker(memory, this.workQueue);
		this.#setupReporting(memory);
		this.#probeDevices(tree, memory);
		this.#phase('booted');
	}

	#setupMemory(tree: DeviceTree): Memory {
		const hart = this.#hart;
		const {log} = this.printk;
		const {memory: options = {}, poison = 'off'} = this.#options;
		const memblock = setupBootMemory(hart, tree, this.#dtbAddress);
		this.#memoryBytes = memblock.pages * PAGE_SIZE;
		if (poison !== 'off') {
			this.poisoning = new PagePoisoning(hart, poison, log);
			for (const {startPfn, endPfn} of memblock.free) {
				this.poisoning.fill(startPfn, endPfn - startPfn);
			}
		}
		const memory = new Memory({
			zones: RISCV_ZONES,
			...options,
			present: memblock.memory,
			reserved: memblock.reserved,
			trace: this.#trace,
		});
		memory.hooks = this.poisoning;
		this.memory = memory;
		for (const line of memoryLines(memblock, memory)) {
			log(line);
		}
		this.#phase('memory');
		return memory;
	}

	#setupInterrupts(tree: DeviceTree): void {
		const {sources, base, context} = findPlic(tree, this.#hart.hartId);
		const plic = new Plic(this.#hart, base, sources, context);
		plic.init();
		this.interrupts = new Interrupts(plic, this.printk.log);
		this.printk.log(`plic@${base.toString(16)}: mapped ${sources} interrupts for context ${context}`);
		const {interrupts} = this;
		this.scheduler.onExternalInterrupt(() => interrupts.dispatch());
	}

	#setupLockdep({zones}: Memory): void {
		if (this.#options.lockdep !== true) {
			return;
		}
		this.lockdep = new Lockdep({context: () => this.scheduler.context});
		for (const zone of zones) {
			this.lockdep.watch(zone.lock, 'zone->lock');
		}
	}

	#setupReporting(memory: Memory): void {
		const {reporting = 'mainline', reportingOptions = {}} = this.#options;
		const spec = typeof reporting === 'string' ? readDesign(reporting) : reporting;
		const design = typeof spec === 'function' ? spec : reportingDesign(spec);
		if (design === undefined) {
			return; // off
		}
		this.reporting = design(
			{memory, workqueue: this.workQueue, nowNs: () => this.#hart.nowNs(), trace: this.#trace},
			reportingOptions,
		);
	}

	/** Finds the virtio-mmio slots in the tree, then loads the balloon's driver. */
	#probeDevices(tree: DeviceTree, memory: Memory): void {
		const hart = this.#hart;
		const kmalloc = new Kmalloc(hart, memory, GFP_KERNEL);
		const {log} = this.printk;
		const interrupts = this.interrupts!;
		const slots = findMmioSlots(tree, {hart, kmalloc, interrupts, log, trace: this.#trace});
		const {withheldFeatures = [], poison = 'off', queueNumbering = 'consecutive'} = this.#options;
		this.devices = registerVirtioDevices(slots, withheldFeatures);
		const driver = balloonDriver({
			hart,
			kmalloc,
			memory,
			timers: this.scheduler.timers,
			workQueue: this.workQueue,
			pageReporting: this.reporting,
			pagePoison: poison,
			queueNumbering,
			stats: () => balloonStats(memory),
		});
		for (const device of bindDriver(this.devices, driver)) {
			log(`virtio_balloon ${device.name}: features 0x${device.features.toString(16)}`);
			if (device.hasFeature(VIRTIO_BALLOON_F_PAGE_REPORTING)) {
				log('Free page reporting enabled');
			}
		}
	}

	/** The first program, and the end of the machine. */
	*#runInit(): KernelThread {
		const {reportingOptions = {}, seed = 0, powerOff = true} = this.#options;
		this.printk.log(`Run ${this.workload.name} as init process`);
		this.#phase('workload', this.workload.name);
		yield* this.workload.run({
			hart: this.#hart,
			memory: this.memory!,
			random: new Random(seed),
			trace: this.#trace,
			contents: this.contents,
			reporting: this.reporting,
			reportingDelayNs: reportingOptions.delayNs ?? PAGE_REPORTING_DELAY_NS,
			log: this.printk.log,
		});
		const seconds = (this.#hart.nowNs() / NS_PER_S).toFixed(3);
		this.printk.log(`${this.workload.name} finished after ${seconds} s`);
		this.#phase('workload-done', this.workload.name);
		if (powerOff) {
			this.printk.log('reboot: Power down');
			this.scheduler.halt();
			this.#hart.systemReset('shutdown', false);
		}
	}

	#phase(phase: string, detail?: string): void {
		if (this.#trace.active) {
			this.#trace.emit({type: 'guest-boot', phase, ...(detail === undefined ? {} : {detail})});
		}
	}
}
