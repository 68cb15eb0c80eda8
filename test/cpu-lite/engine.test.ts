/**
 * The hart as a whole: exact counts, interrupts at the same instruction however the run is cut, and caches that never
 * show a byte that is no longer there.
 */
import test from 'ava';
import {Bus, type MmioDevice} from '../../src/board/bus.js';
import {Clint} from '../../src/board/clint.js';
import {Clock} from '../../src/board/clock.js';
import {BOOT_ROM_BASE, CLINT_BASE, CLINT_SIZE, RAM_BASE} from '../../src/board/memory-map.js';
import {assemble, type Assembly} from '../../src/cpu-lite/assembler/assemble.js';
import {CSR} from '../../src/cpu-lite/csr-numbers.js';
import {INT_MSI, INT_MTI, PRV_M, PRV_S} from '../../src/cpu-lite/privilege.js';
import {RvHart, type RunLimits} from '../../src/cpu-lite/rv-hart.js';
import {VmsimError} from '../../src/errors.js';
import {HostMemory, type HostMemoryOptions} from '../../src/host/frames.js';
import {GuestMemory} from '../../src/host/guest-memory.js';
import {KiB, MiB} from '../../src/units.js';

/** Registers by their names, as far as used here. */
const X = {ra: 1, sp: 2, t0: 5, t1: 6, s0: 8, s1: 9, a0: 10, a1: 11, a2: 12, a3: 13, a4: 14, a5: 15};
/** A device of one register at this address. */
const DEVICE = 0x1000_0000;

interface Options {
	host?: HostMemoryOptions;
	codePages?: number;
	ramBytes?: number;
	device?: MmioDevice;
}

class Machine {
	readonly clock = new Clock();
	readonly bus = new Bus();
	readonly host: HostMemory;
	readonly memory: GuestMemory;
	readonly hart: RvHart;
	readonly program: Assembly;

	constructor(source: string, {host, codePages = 16, ramBytes = 4 * MiB, device}: Options = {}) {
		this.host = new HostMemory({bankBytes: 64 * MiB, ...host});
		this.memory = new GuestMemory({base: RAM_BASE, sizeBytes: ramBytes, host: this.host});
		const {memory, bus, clock} = this;
		this.hart = new RvHart({hartId: 0, memory, bus, clock, timebaseHz: 10_000_000, codePages});
		const clint = new Clint({
			clock,
			timebaseHz: 10_000_000,
			harts: 1,
			softwareInterrupt: (_, level) => this.hart.setInterrupt(INT_MSI, level),
			timerInterrupt: (_, level) => this.hart.setInterrupt(INT_MTI, level),
		});
		bus.attach('clint', CLINT_BASE, CLINT_SIZE, clint);
		if (device) {
			bus.attach('device', DEVICE, 0x1000, device);
		}
		this.program = assemble(source, {origin: RAM_BASE, compress: true});
		memory.writeBytes(RAM_BASE, this.program.image);
		this.hart.reset(RAM_BASE);
	}

	/** Runs until the ebreak that ends each program: it traps to `end`, where a breakpoint is. */
	runToEnd(limits: RunLimits = {}): string {
		const end = BigInt(this.program.address('end'));
		this.hart.addBreakpoint(end);
		const exit = this.hart.run({maxInstructions: 1_000_000, ...limits});
		this.hart.removeBreakpoint(end);
		return exit;
	}

	/** Runs until the instruction at a label is the next one. */
	runTo(label: string): void {
		const address = BigInt(this.program.address(label));
		this.hart.addBreakpoint(address);
		this.hart.run({maxInstructions: 100_000});
		this.hart.removeBreakpoint(address);
		if (this.hart.pc !== address) {
			throw new Error(`${label} is not reached: ${this.hart.describe()}`);
		}
	}

	x(name: keyof typeof X): bigint {
		return this.hart.readRegister(X[name]);
	}

	word(label: string, offset = 0): number {
		return this.memory.read32(this.program.address(label) + offset);
	}
}

test('run starts exactly as many instructions as it is told', (t) => {
	const machine = new Machine('li a0, 0\nloop: addi a0, a0, 1\nj loop\nend:');
	t.is(machine.hart.run({maxInstructions: 1}), 'instructions');
	for (const count of [1, 2, 3, 1000, 7, 99_999]) {
		const before = machine.hart.instret;
		t.is(machine.hart.run({maxInstructions: count}), 'instructions');
		t.is(machine.hart.instret - before, count);
		t.is(machine.clock.nowNs, machine.hart.instret);
	}
	t.is(machine.x('a0'), BigInt(Math.ceil((machine.hart.instret - 1) / 2)));
});

/** A timer interrupts every microsecond or so; the handler logs where and when, and goes on. */
const TIMER_PROGRAM = `
	la	t0, handler
	csrw	mtvec, t0
	li	s0, ${CLINT_BASE + 0x4000}
	li	s1, ${CLINT_BASE + 0xbff8}
	la	a5, log
	li	t0, 10
	sd	t0, 0(s0)
	li	t0, 0x80
	csrw	mie, t0
	csrsi	mstatus, 8
	li	a0, 0
loop:	addi	a0, a0, 1
	mul	a1, a0, a0
	ld	a2, 0(s1)
	xor	a3, a3, a1
	j	loop
	.balign 4
handler: csrr	a4, mepc
	sd	a4, 0(a5)
	csrr	a4, minstret
	sd	a4, 8(a5)
	addi	a5, a5, 16
	ld	a4, 0(s1)
	addi	a4, a4, 10
	sd	a4, 0(s0)
	la	a4, log_end
	beq	a4, a5, end
	mret
end:	ebreak
	.balign 4096
log:	.zero 1600
log_end:
`;

test('a timer interrupt is taken at the same instruction, however the run is cut into pieces', (t) => {
	const logs = [200_000, 1, 2, 7, 100, 999, 12_345].map((slice) => {
		const machine = new Machine(TIMER_PROGRAM);
		machine.hart.addBreakpoint(BigInt(machine.program.address('end')));
		while (machine.hart.run({maxInstructions: slice}) === 'instructions') {
			t.true(machine.hart.instret < 200_000);
		}
		const log = machine.memory.readBytes(machine.program.address('log'), new Uint8Array(1600));
		return {log: Buffer.from(log).toString('hex'), now: machine.clock.nowNs, instret: machine.hart.instret};
	});
	for (const other of logs.slice(1)) {
		t.deepEqual(other, logs[0]);
	}
	t.is(new Set(logs[0]!.log.match(/.{32}/g)).size, 100, '100 different places');
	t.true(logs[0]!.now > 100_000 && logs[0]!.now < 110_000, `${logs[0]!.now} ns for 100 interrupts`);
});

test('time is the instruction count; wfi skips to the next event and costs no instruction', (t) => {
	const machine = new Machine(`
		la	t0, end
		csrw	mtvec, t0
		li	s0, ${CLINT_BASE + 0x4000}
		li	t0, 5000000
		sd	t0, 0(s0)
		li	t0, 0x80
		csrw	mie, t0
		csrr	a0, time
		wfi
		csrr	a1, time
		csrsi	mstatus, 8
	1:	j	1b
		.balign 4
	end:	ebreak
	`);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a0'), 0n);
	t.is(machine.x('a1'), 5_000_000n, 'half a second at 10 MHz');
	t.is(machine.hart.csr.mcause, (1n << 63n) | 7n);
	t.true(machine.hart.instret < 30);
});

test('a hart that waits for nothing says so, and goes on when a line rises', (t) => {
	const machine = new Machine('li t0, 8\ncsrw mie, t0\nwfi\nli a0, 42\nend: ebreak');
	t.is(machine.hart.run(), 'wfi');
	t.is(machine.hart.run(), 'wfi');
	machine.hart.setInterrupt(INT_MSI, true);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a0'), 42n);
});

test('run returns at a virtual time, in a loop and in a wfi', (t) => {
	const machine = new Machine('1: j 1b\nend:');
	t.is(machine.hart.run({untilNs: 12_345}), 'time');
	t.is(machine.clock.nowNs, 12_345);
	const waiting = new Machine('wfi\nend: ebreak');
	t.is(waiting.hart.run({untilNs: 1e9}), 'time');
	t.is(waiting.clock.nowNs, 1e9);
});

test('a device is told the time of its access, can stop the run, and a nearer deadline is met', (t) => {
	const times: number[] = [];
	const machine: Machine = new Machine(
		`li s0, ${DEVICE}\nnop\nnop\nlw a0, 0(s0)\nnop\nsw a0, 4(s0)\nloop: addi a1, a1, 1\nj loop\nend:`,
		{
			device: {
				read: () => times.push(machine.clock.nowNs),
				write() {
					times.push(machine.clock.nowNs);
					machine.clock.after(100, () => machine.hart.stop());
				},
			},
		},
	);
	t.is(machine.hart.run(), 'stopped');
	t.deepEqual(times, [3, 5], 'one nanosecond for each instruction before it');
	t.is(machine.clock.nowNs, 105);
	t.is(machine.hart.instret, 105);
});

test('8-byte accesses reach a device as two halves, low one first; what nothing answers is an access fault', (t) => {
	const log: string[] = [];
	const machine = new Machine(
		`la t0, end\ncsrw mtvec, t0\nli s0, ${DEVICE}\nli t0, 0x1122334455667788\nsd t0, 8(s0)\nld a0, 8(s0)
		 lb a1, 3(s0)\nnop\n.balign 4\nend: ebreak`,
		{
			device: {
				read: (offset, width) => (log.push(`r${width}@${offset}`), 0x8000_0080 + offset),
				write: (offset, width, value) => void log.push(`w${width}@${offset}=${value.toString(16)}`),
			},
		},
	);
	machine.runToEnd();
	t.deepEqual(log.slice(0, 5), ['w4@8=55667788', 'w4@12=11223344', 'r4@8', 'r4@12', 'r1@3']);
	t.is(machine.x('a0'), 0x8000_008c_8000_0088n);
	t.is(machine.x('a1'), BigInt.asUintN(64, -125n), 'sign-extended from 8 bits');
	const lost = new Machine(
		'la t0, end\ncsrw mtvec, t0\nli s0, 0x20000000\nlw a0, 4(s0)\n.balign 4\nend: ebreak',
	);
	t.is(lost.runToEnd(), 'breakpoint');
	t.is(lost.hart.csr.mcause, 5n);
	t.is(lost.hart.csr.mtval, 0x2000_0004n);
});

// Code that changes.

test('code that the hart itself writes is executed as written, fence.i or not', (t) => {
	const machine = new Machine(`
		la	t0, patch
		lw	t1, new
		li	s0, 3
	again:	addi	a0, a0, 0
		.option norvc
	patch:	addi	a1, a1, 1
		.option rvc
		sw	t1, 0(t0)	# replaces the instruction above
		addi	s0, s0, -1
		bnez	s0, again
	end:	ebreak
		.option norvc
	new:	addi	a1, a1, 100
	`);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a1'), 201n);
});

test('a store into the second half of an instruction, and one that makes two of one, are seen', (t) => {
	const machine = new Machine(`
		la	t0, patch
		li	s0, 2
		.option norvc
	patch:	addi	a1, a1, 1
		.option rvc
		li	t1, 0x0ff5	# addi a1, a1, 255: its upper half
		sh	t1, 2(t0)
		addi	s0, s0, -1
		bnez	s0, patch
	first:	li	t1, 0x00010001	# two c.nop
		sw	t1, 0(t0)
		li	s0, 1
		j	patch
	end:	ebreak
	`);
	machine.runTo('first');
	t.is(machine.x('a1'), 256n, '1, then 255');
	machine.hart.run({maxInstructions: 4});
	machine.runTo('first');
	t.is(machine.x('a1'), 256n, 'no addition any more');
});

test('data beside code: a page that is stored to all the time stays correct', (t) => {
	const machine = new Machine(`
		la	t0, counter
		li	s0, 500
	loop:	ld	a0, 0(t0)
		addi	a0, a0, 1
		sd	a0, 0(t0)
		addi	s0, s0, -1
		bnez	s0, loop
	end:	ebreak
		.balign 8
	counter: .dword 0
	`);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.word('counter'), 500);
});

const CALLED_PAGE = `
	la	s0, routine
	jalr	s0
	jalr	s0
	j	end
	.balign 4096
end:	ebreak
	.balign 4096
routine: addi	a0, a0, 1
	ret
`;

test('code that a device writes replaces what was predecoded', (t) => {
	const machine = new Machine(CALLED_PAGE);
	machine.hart.run({maxInstructions: 5});
	t.is(machine.x('a0'), 1n);
	const patch = assemble('addi a0, a0, 50\nret', {
		origin: machine.program.address('routine'),
		compress: true,
	});
	machine.memory.writeBytes(patch.origin, patch.image);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a0'), 51n);
});

test('a device that writes into the page that it is called from is seen by the next instruction', (t) => {
	const machine: Machine = new Machine(
		`li s0, ${DEVICE}\nsw zero, 0(s0)\npatch: addi a0, a0, 1\naddi a0, a0, 1\nend: ebreak`,
		{
			device: {
				read: () => 0,
				write() {
					const {image, origin} = assemble('addi a0, a0, 7', {
						origin: machine.program.address('patch'),
						compress: true,
					});
					machine.memory.writeBytes(origin, image);
				},
			},
		},
	);
	machine.runToEnd();
	t.is(machine.x('a0'), 8n);
});

test('code in a page that was discarded is gone: zeros are an illegal instruction', (t) => {
	const machine = new Machine(CALLED_PAGE);
	machine.hart.csr.poke(CSR.mtvec, BigInt(machine.program.address('end')));
	machine.hart.run({maxInstructions: 5});
	const routine = machine.program.address('routine');
	t.is(machine.memory.discard(routine, 4096).freedBytes, 4096);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a0'), 1n);
	t.is(machine.hart.csr.mcause, 2n);
	t.is(machine.hart.csr.mepc, BigInt(routine));
	t.is(machine.hart.csr.mtval, 0n);
});

test('fewer slots than pages of code: everything is decoded again, nothing is wrong', (t) => {
	const pages = Array.from(
		{length: 7},
		(_, index) => `.balign 4096\np${index}: addi a0, a0, ${index + 1}\nj q${index}`,
	);
	const back = Array.from(
		{length: 7},
		(_, index) =>
			`q${index}: addi a1, a1, 1\nla t0, p${(index + 1) % 7}\n` +
			(index === 6 ? 'addi s0, s0, -1\nbeqz s0, end\n' : '') +
			'jr t0',
	);
	const machine = new Machine(`li s0, 50\nj p0\n${back.join('\n')}\nend: ebreak\n${pages.join('\n')}`, {
		codePages: 2,
	});
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a0'), 50n * 28n);
	t.is(machine.x('a1'), 50n * 7n);
	t.true(machine.hart.statistics.codePages <= 2);
});

// Data pages that come and go.

test('a page without a frame reads zero and takes none; the first store takes one and is seen by loads', (t) => {
	const machine = new Machine(
		`
		li	s0, ${RAM_BASE + MiB}
		ld	a0, 8(s0)
		ld	a1, 16(s0)
		ebreak
	`.replace('ebreak', 'li t0, 77\n sd t0, 8(s0)\n ld a2, 8(s0)\n ld a3, 16(s0)\nend: ebreak'),
	);
	machine.hart.run({maxInstructions: 4});
	t.is(machine.x('a0'), 0n);
	t.is(machine.memory.frameForRead(256), 0, 'reading took no frame');
	const before = machine.memory.counters.faults;
	machine.runToEnd();
	t.is(machine.memory.counters.faults - before, 1);
	t.is(machine.x('a2'), 77n);
	t.is(machine.x('a3'), 0n);
});

test('a page that was read while it had no frame shows what a device wrote since', (t) => {
	const machine = new Machine(`li s0, ${RAM_BASE + MiB}\nld a0, 0(s0)\nhalf: ld a1, 0(s0)\nend: ebreak`);
	machine.runTo('half');
	machine.memory.write32(RAM_BASE + MiB, 1234);
	machine.runToEnd();
	t.is(machine.x('a0'), 0n);
	t.is(machine.x('a1'), 1234n);
});

test('after a discard loads give zero and a store takes a new frame', (t) => {
	const machine = new Machine(`
		li	s0, ${RAM_BASE + MiB}
		li	t0, 99
		sd	t0, 0(s0)
		ld	a0, 0(s0)
	half:	ld	a1, 0(s0)
		sd	t0, 8(s0)
		ld	a2, 0(s0)
		ld	a3, 8(s0)
	end:	ebreak
	`);
	machine.runTo('half');
	t.is(machine.x('a0'), 99n);
	machine.memory.discard(RAM_BASE + MiB, MiB);
	const {faults, refaults} = machine.memory.counters;
	machine.runToEnd();
	t.deepEqual([machine.x('a1'), machine.x('a2'), machine.x('a3')], [0n, 0n, 99n]);
	t.is(machine.memory.counters.faults - faults, 1);
	t.is(machine.memory.counters.refaults - refaults, 1);
});

const FILL_PROGRAM = `
	li	s0, ${RAM_BASE + MiB}
	li	s1, ${RAM_BASE + 3 * MiB}
	mv	t0, s0
1:	sd	t0, 0(t0)
	amoadd.d t1, s0, (t0)
	lr.w	a2, (t0)
	sc.w	a3, a2, (t0)
	add	a4, a4, a3
	addi	t0, t0, 2047
	addi	t0, t0, 1
	bltu	t0, s1, 1b
	mv	t0, s0
2:	ld	t1, 0(t0)
	add	a0, a0, t1
	addi	t0, t0, 2047
	addi	t0, t0, 1
	bltu	t0, s1, 2b
end:	ebreak
`;

test('frames beyond the first bank are slower, not different', (t) => {
	// 6 MiB of bank 0 are for the engine and 2 MiB for the guest: the rest of its pages come from other banks.
	const host = {bankBytes: 4 * MiB};
	const small = new Machine(FILL_PROGRAM, {host, codePages: 8});
	t.is(small.runToEnd(), 'breakpoint');
	t.true(small.host.bankCount > 1);
	const large = new Machine(FILL_PROGRAM);
	large.runToEnd();
	t.is(large.host.bankCount, 1);
	t.is(small.x('a0'), large.x('a0'));
	t.is(small.x('a4'), 0n, 'every sc succeeded');
	t.is(small.hart.instret, large.hart.instret);
});

test('a host without memory ends the run with its own error', (t) => {
	const machine = new Machine(FILL_PROGRAM, {host: {limitBytes: 64 * KiB}});
	const error = t.throws(() => machine.runToEnd(), {instanceOf: VmsimError});
	t.is((error as VmsimError).code, 'HOST_MEMORY_EXHAUSTED');
});

// Translation.

/** Enters S-mode at `supervisor` with Sv39: RAM mapped as it is by gigapages, plus what `tables` says. */
function supervised(body: string, tables = ''): string {
	return `
		.option norelax
		la	t0, machine_trap
		csrw	mtvec, t0
		li	t0, -1
		csrw	pmpaddr0, t0
		li	t0, 0x1f
		csrw	pmpcfg0, t0
		la	t0, root
		srli	t0, t0, 12
		li	t1, 8 << 60
		or	t0, t0, t1
		csrw	satp, t0
		li	t0, 1 << 11
		csrs	mstatus, t0
		la	t0, supervisor
		csrw	mepc, t0
		mret
		.balign 4
	machine_trap:
	end:	ebreak
	supervisor:
		${body}
		.balign 4096
	root:	.dword 0, 0, (${RAM_BASE} >> 12) << 10 | 0xcf
		.zero 4096 - 24
	level1:	.zero 4096
	level0:	.zero 4096
	data:	.dword 11, 22, 33
		.balign 4096
	other:	.dword 44, 55, 66
		.balign 4096
	${tables}
	`;
}

/** Hooks level1 and level0 into the root's entry 1 (0x40000000), and makes a PTE for a label. */
const HOOK = `
	la	t0, level1
	srli	t0, t0, 2
	ori	t0, t0, 1
	la	t1, root
	sd	t0, 8(t1)
	la	t0, level0
	srli	t0, t0, 2
	ori	t0, t0, 1
	la	t1, level1
	sd	t0, 0(t1)
	li	s0, 0x40000000
`;
const mapPage = (label: string, flags: number, index = 0) =>
	`la t0, ${label}\nsrli t0, t0, 2\nori t0, t0, ${flags}\nla t1, level0\nsd t0, ${8 * index}(t1)\n`;

test('SUM opens and closes user pages without dropping a translation', (t) => {
	const rounds = 200;
	const machine = new Machine(
		supervised(`
		${HOOK}
		${mapPage('data', 0xd7)}
		sfence.vma
		li	s1, ${rounds}
		li	t1, 1 << 18
	1:	csrs	sstatus, t1
		ld	t0, 0(s0)
		add	a0, a0, t0
		sd	a0, 8(s0)
		csrc	sstatus, t1
		addi	s1, s1, -1
		bnez	s1, 1b
		ld	t0, 0(s0)	# faults: SUM is off
		nop
	`),
	);
	machine.hart.csr.poke(CSR.mtvec, 0n);
	t.is(machine.runToEnd({maxInstructions: 60}), 'instructions');
	const before = machine.hart.statistics;
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a0'), BigInt(11 * rounds));
	t.is(machine.hart.csr.mcause, 13n);
	t.is(machine.hart.csr.mtval, 0x4000_0000n);
	const after = machine.hart.statistics;
	t.true(after.tlbFlushes - before.tlbFlushes <= 2, 'only the breakpoint dropped anything');
	t.true(after.walks - before.walks < 12, `${after.walks - before.walks} walks for ${2 * rounds} switches`);
});

test('sfence.vma makes a changed page table visible: a page, and a superpage by any address in it', (t) => {
	const machine = new Machine(
		supervised(`
		${HOOK}
		${mapPage('data', 0xc7)}
		sfence.vma
		ld	a0, 0(s0)
		${mapPage('other', 0xc7)}
		sfence.vma s0
		ld	a1, 0(s0)
		# a superpage at 0x40200000 onto RAM, then onto RAM + 2 MiB
		li	t0, ${(RAM_BASE / 4096) * 1024} | 0xc7
		la	t1, level1
		sd	t0, 8(t1)
		li	s1, 0x40200000
		sfence.vma
		ld	a2, 16(s1)
		li	t0, ${(RAM_BASE / 4096 + 512) * 1024} | 0xc7
		sd	t0, 8(t1)
		li	t0, 0x403ff000
		sfence.vma t0
		ld	a3, 16(s1)
		ecall
	`),
	);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.hart.csr.mcause, 9n);
	t.is(machine.x('a0'), 11n);
	t.is(machine.x('a1'), 44n);
	t.is(
		machine.x('a2'),
		BigInt(machine.memory.read32(RAM_BASE + 16)) | (BigInt(machine.memory.read32(RAM_BASE + 20)) << 32n),
	);
	t.is(machine.x('a3'), 0n);
});

test('user mode: its pages only; the trap returns to the supervisor with the exact address', (t) => {
	const machine = new Machine(
		supervised(
			`
		${HOOK}
		${mapPage('user', 0xdf)}
		${mapPage('data', 0xc7, 1)}
		sfence.vma
		la	t0, 1f
		csrw	stvec, t0
		csrw	sepc, s0
		sret
		.balign 4
	1:	csrr	a0, scause
		csrr	a1, stval
		csrr	a2, sepc
		ecall
	`,
			`user: lui a5, 0x40001
		lw a4, 12(a5)`,
		),
	);
	machine.hart.csr.poke(CSR.medeleg, 0xb1ffn);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a0'), 13n);
	t.is(machine.x('a1'), 0x4000_100cn);
	t.is(machine.x('a2'), 0x4000_0004n);
	t.is(machine.hart.csr.mcause, 9n, 'the ecall of the supervisor');
});

test('an instruction across two pages: each half by its own translation, and a missing second page is named', (t) => {
	const machine = new Machine(
		supervised(
			`
		${HOOK}
		${mapPage('first', 0xcb)}
		${mapPage('second', 0xcb, 1)}
		sfence.vma
		la	t0, back
		csrw	stvec, t0
		li	a5, 0x40000ffe
		jr	a5
		.balign 4
	back:	addi	a4, a4, 1
		li	t1, 2
		beq	a4, t1, 1f
		bgtu	a4, t1, 2f
		${mapPage('second2', 0xcb, 1)}	# after the first ebreak: another second page
		sfence.vma
		jr	a5
	1:	la	t1, level0	# after the second: none
		sd	zero, 8(t1)
		sfence.vma
		jr	a5
	2:	csrr	a0, scause
		csrr	a2, stval
		csrr	a3, sepc
		ecall
	`,
			`
	first:	.zero 4094
		.half 0x8593	# addi a1, a1, ...: the low half
		.balign 4096
	second:	.half 0x0015	# ... 1
		ebreak
		.balign 4096
	second2: .half 0x0025	# ... 2
		ebreak
	`,
		),
	);
	machine.hart.csr.poke(CSR.medeleg, 0xb1ffn);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a1'), 3n, '1 and 2');
	t.is(machine.x('a0'), 12n, 'instruction page fault');
	t.is(machine.x('a2'), 0x4000_1000n, 'of the second page');
	t.is(machine.x('a3'), 0x4000_0ffen, 'by the instruction that begins on the first');
});

// Leaving.

test('breakpoints stop before the instruction and let it go when the run continues', (t) => {
	const machine = new Machine('loop: addi a0, a0, 1\naddi a1, a1, 1\nj loop\nend:');
	const at = BigInt(RAM_BASE + 2);
	machine.hart.run({maxInstructions: 1});
	machine.hart.addBreakpoint(at);
	for (let round = 1; round <= 3; round++) {
		t.is(machine.hart.run({maxInstructions: 100}), 'breakpoint');
		t.is(machine.hart.pc, at);
		t.is(machine.x('a0') - machine.x('a1'), 1n);
	}
	machine.hart.removeBreakpoint(at);
	t.is(machine.hart.run({maxInstructions: 100}), 'instructions');
});

test('run can end where a mode is entered', (t) => {
	const machine = new Machine(supervised('li a0, 1\necall'));
	t.is(machine.hart.run({untilMode: PRV_S}), 'mode');
	t.is(machine.hart.mode, PRV_S);
	t.is(machine.hart.pc, BigInt(machine.program.address('supervisor')));
	t.is(machine.x('a0'), 0n);
	t.is(machine.hart.run({untilMode: PRV_M}), 'mode');
	t.is(machine.hart.pc, BigInt(machine.program.address('machine_trap')));
});

test('a handler that traps on its first instruction is not for ever: run says where and why', (t) => {
	const machine = new Machine('li t0, 0x40000000\ncsrw mtvec, t0\nli t0, 0x50000001\njr t0\nend:');
	t.is(machine.hart.run(), 'stuck');
	t.deepEqual(machine.hart.stuckAt, {cause: 1, tval: 0x4000_0000n, pc: 0x4000_0000n, mode: PRV_M});
	t.regex(machine.hart.describe(), /pc 0x40000000 in M-mode, instruction access fault at 0x40000000/);
});

test('a ROM on the bus can be executed, a device cannot', (t) => {
	const rom = assemble(
		'lui a0, 5\naddi a0, a0, 9\nlui t0, 0x80000\nslli t0, t0, 32\nsrli t0, t0, 32\njr t0',
		{origin: BOOT_ROM_BASE},
	).image;
	const view = new DataView(rom.buffer);
	const device: MmioDevice = {
		read: (offset, width) => (width === 2 ? view.getUint16(offset, true) : 0),
		write() {},
	};
	const machine = new Machine('end: ebreak', {device});
	machine.bus.attach('rom', BOOT_ROM_BASE, 0x1000, device, {executable: true});
	machine.hart.reset(BOOT_ROM_BASE);
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.x('a0'), 0x5009n);
	machine.hart.reset(DEVICE);
	machine.hart.csr.poke(CSR.mtvec, BigInt(machine.program.address('end')));
	t.is(machine.runToEnd(), 'breakpoint');
	t.is(machine.hart.csr.mcause, 1n);
});

test('instret leaves out what trapped, mcycle and time do not', (t) => {
	const machine = new Machine(`
		la	t0, 1f
		csrw	mtvec, t0
		csrr	a0, minstret
		csrr	a1, mcycle
		ecall
		.balign 4
	1:	csrr	a2, minstret
		csrr	a3, mcycle
	end:	ebreak
	`);
	machine.runToEnd();
	t.is(machine.x('a2') - machine.x('a0'), 2n);
	t.is(machine.x('a3') - machine.x('a1'), 3n);
});

test('a second run after reset is the first one again', (t) => {
	const machine = new Machine(TIMER_PROGRAM);
	const shots = [0, 1].map(() => {
		machine.memory.writeBytes(RAM_BASE, machine.program.image);
		machine.hart.reset(RAM_BASE);
		machine.hart.run({maxInstructions: 90});
		return {pc: machine.hart.pc, instret: machine.hart.instret, mode: machine.hart.mode, a0: machine.x('a0')};
	});
	t.deepEqual(shots[1], shots[0]);
	t.is(shots[0]!.instret, 90);
});
