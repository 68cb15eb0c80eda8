import test from 'ava';
import {Finisher, type Finish} from '../../src/board/finisher.js';
import {Uart} from '../../src/board/uart.js';

const [RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const THR = RBR;
const FCR = IIR;

function uartOf(): {
	uart: Uart;
	sent: number[];
	line: () => boolean;
	get: (register: number) => number;
	set: (register: number, value: number) => void;
} {
	const sent: number[] = [];
	let line = false;
	const uart = new Uart({transmit: (byte) => sent.push(byte), irq: (level) => (line = level)});
	return {
		uart,
		sent,
		line: () => line,
		get: (register) => uart.read(register, 1),
		set: (register, value) => uart.write(register, 1, value),
	};
}

test('bytes written to THR go out at once and the transmitter is empty again', (t) => {
	const {sent, get, set} = uartOf();
	for (const byte of Buffer.from('ok\n')) {
		t.is(get(LSR) & 0x60, 0x60);
		set(THR, byte);
	}
	t.is(Buffer.from(sent).toString(), 'ok\n');
});

test("Linux's autoconfiguration finds a 16550A and nothing newer", (t) => {
	// drivers/tty/serial/8250/8250_port.c, autoconfig() and autoconfig_16550a(), access by access.
	const {get, set} = uartOf();
	set(IER, 0);
	t.is(get(IER) & 0x0f, 0);
	set(IER, 0x0f);
	t.is(get(IER) & 0x0f, 0x0f);
	set(IER, 0);
	const [mcr, lcr] = [get(MCR), get(LCR)];
	set(MCR, 0x10 | 0x0a); // loop, OUT2 and RTS
	t.is(get(MSR) & 0xf0, 0x90, 'OUT2 comes back as DCD, RTS as CTS');
	set(MCR, mcr);
	set(LCR, 0xbf);
	set(2, 0);
	set(LCR, 0);
	set(FCR, 1);
	t.is(get(IIR) >>> 6, 3, 'FIFOs that work');
	set(LCR, 0x80);
	t.not(get(2), 0, 'no extended feature register: not a 16650');
	set(LCR, 0xbf);
	t.not(get(2), 0, 'nor a 16650V2');
	set(LCR, 0xe0);
	const before = get(2);
	set(LCR, 0);
	set(MCR, mcr ^ 0x10);
	set(LCR, 0xe0);
	t.is((get(2) ^ before) & 0x10, 0, 'register 2 does not show MCR: no NS16550A SuperIO');
	set(LCR, 0);
	set(MCR, mcr);
	set(FCR, 0x21);
	t.is(get(IIR) & 0xe0, 0xc0, 'no 64-byte FIFO: not a 16750');
	set(FCR, 1);
	set(IER, 0x40);
	t.is(get(IER) & 0x40, 0, 'no UUE: not an XScale');
	set(LCR, lcr);
});

test('enabling THRI raises the interrupt, reading IIR takes it back: the two tests at start-up', (t) => {
	const {get, set, line} = uartOf();
	t.is(get(IIR), 0x01);
	for (let round = 0; round < 2; round++) {
		set(IER, 0x02);
		t.true(line());
		t.is(get(IIR), 0x02);
		t.false(line());
		t.is(get(IIR), 0x01);
		set(IER, 0);
	}
	set(IER, 0x02);
	get(IIR);
	set(THR, 65);
	t.true(line(), 'sent, empty again');
	set(IER, 0);
	t.false(line());
});

test('received bytes raise the interrupt at the trigger level, or as a time-out below it', (t) => {
	const {uart, get, set, line} = uartOf();
	set(FCR, 0x81); // FIFO on, trigger at 8
	set(IER, 0x01);
	uart.receive(Buffer.from('abc'));
	t.true(line());
	t.is(get(IIR), 0xcc);
	uart.receive(Buffer.from('defgh'));
	t.is(get(IIR), 0xc4);
	let text = '';
	while ((get(LSR) & 1) !== 0) {
		text += String.fromCharCode(get(RBR));
	}
	t.is(text, 'abcdefgh');
	t.false(line());
	t.is(get(RBR), 0);
});

test('more than 16 bytes wait outside and none is lost, with the FIFO and without', (t) => {
	for (const fifo of [0, 1]) {
		const {uart, get, set} = uartOf();
		set(FCR, fifo);
		const bytes = Uint8Array.from({length: 100}, (_, i) => i + 1);
		uart.receive(bytes);
		const got: number[] = [];
		while ((get(LSR) & 1) !== 0) {
			t.is(get(LSR) & 2, 0);
			got.push(get(RBR));
		}
		t.deepEqual(got, [...bytes]);
	}
});

test('loopback sends to itself, keeps the line out, and overruns', (t) => {
	const {uart, sent, get, set, line} = uartOf();
	set(FCR, 1);
	set(IER, 0x04);
	set(MCR, 0x10);
	uart.receive([200]);
	for (let i = 0; i < 17; i++) {
		set(THR, i);
	}
	t.deepEqual(sent, []);
	t.true(line());
	t.is(get(IIR), 0xc6, 'receiver line status');
	t.is(get(LSR) & 3, 3);
	t.is(get(LSR) & 3, 1, 'reading LSR clears the overrun');
	t.is(get(RBR), 0);
	set(FCR, 3);
	t.is(get(LSR) & 1, 0, 'the FIFO was emptied');
	set(MCR, 0);
	t.is(get(RBR), 200);
});

test('modem lines: there and ready; changes are noted until MSR is read', (t) => {
	const {get, set, line} = uartOf();
	t.is(get(MSR), 0xb0);
	set(IER, 0x08);
	set(MCR, 0x10 | 0x04); // only RI
	t.true(line());
	t.is(get(IIR), 0x00);
	t.is(get(MSR), 0x40 | 0x0b);
	t.false(line());
	set(MCR, 0x10);
	t.is(get(MSR), 0x04, 'the trailing edge of RI');
	set(MCR, 0x10 | 0x04);
	t.is(get(MSR), 0x40, 'the leading one is not noted');
});

test('the divisor latch, scratch and read-only registers', (t) => {
	const {sent, get, set} = uartOf();
	set(LCR, 0x83);
	set(0, 0x34);
	set(1, 0x12);
	t.deepEqual([get(0), get(1)], [0x34, 0x12]);
	set(LCR, 0x03);
	t.is(get(IER), 0);
	t.deepEqual(sent, []);
	set(SCR, 0x5a);
	t.is(get(SCR), 0x5a);
	set(LSR, 0xff);
	set(MSR, 0);
	t.is(get(LSR), 0x60);
	t.is(get(MSR), 0xb0);
	t.is(get(9), 0);
});

test('reset puts everything back', (t) => {
	const {uart, get, set, line} = uartOf();
	uart.receive([1, 2, 3]);
	set(IER, 0x0f);
	set(SCR, 1);
	t.true(line());
	uart.reset();
	t.false(line());
	t.deepEqual([get(IER), get(IIR), get(SCR), get(LSR)], [0, 1, 0, 0x60]);
});

test('finisher: pass, fail with its code, reset; anything else is ignored', (t) => {
	const seen: Finish[] = [];
	const finisher = new Finisher((finish) => seen.push(finish));
	finisher.write(0, 4, 0x5555);
	finisher.write(0, 4, 0x0001_3333);
	finisher.write(0, 4, 0xffff_3333);
	finisher.write(0, 2, 0x7777);
	finisher.write(0, 4, 0x1234);
	finisher.write(4, 4, 0x5555);
	finisher.write(0, 1, 0x55);
	t.is(finisher.read(0, 4), 0);
	t.deepEqual(seen, [{kind: 'pass'}, {kind: 'fail', code: 1}, {kind: 'fail', code: 0xffff}, {kind: 'reset'}]);
});
