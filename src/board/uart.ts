/**
 * UART 16550A (National Semiconductor PC16550D data sheet), byte-wide registers one byte apart, as Linux's 8250 driver
 * expects behind `ns16550a`: its autoconfiguration, loopback included, finds a 16550A.
 *
 * Inaccuracies: a byte is sent at once, so the transmitter is always empty; a byte that is received counts as there for
 * four character times, so the time-out interrupt comes at once below the trigger level. Framing, parity and break do
 * not occur. Bytes that the FIFO has no room for wait outside (a stream can wait), so it overruns in loopback only.
 */
import type {AccessWidth, MmioDevice} from './bus.js';

/** Register offsets. Two registers share one where read and write, or DLAB, tell them apart. */
const RBR_THR_DLL = 0;
const IER_DLM = 1;
const IIR_FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;

const IER_RDI = 0x01; // received data available
const IER_THRI = 0x02; // transmitter holding register empty
const IER_RLSI = 0x04; // receiver line status
const IER_MSI = 0x08; // modem status
const IER_MASK = 0x0f;

const IIR_NO_INT = 0x01;
const IIR_MSI = 0x00;
const IIR_THRI = 0x02;
const IIR_RDI = 0x04;
const IIR_RLSI = 0x06;
const IIR_TIMEOUT = 0x0c;
const IIR_FIFO_ENABLED = 0xc0;

const FCR_ENABLE = 0x01;
const FCR_CLEAR_RCVR = 0x02;
const FCR_TRIGGER_SHIFT = 6;
/** Receive trigger level by the top two bits of FCR. */
const TRIGGER_BYTES = [1, 4, 8, 14] as const;
const FIFO_BYTES = 16;

const LCR_DLAB = 0x80;

const MCR_DTR = 0x01;
const MCR_RTS = 0x02;
const MCR_OUT1 = 0x04;
const MCR_OUT2 = 0x08;
const MCR_LOOP = 0x10;
const MCR_MASK = 0x1f;

const LSR_DR = 0x01; // data ready
const LSR_OE = 0x02; // overrun
const LSR_THRE = 0x20;
const LSR_TEMT = 0x40;

const MSR_CTS = 0x10;
const MSR_DSR = 0x20;
const MSR_RI = 0x40;
const MSR_DCD = 0x80;
const MSR_TERI = 0x04; // the one delta that marks a falling edge only

export interface UartOptions {
	/** One byte that the guest sent. */
	transmit: (byte: number) => void;
	/** Told when the interrupt line changes. */
	irq: (level: boolean) => void;
}

export class Uart implements MmioDevice {
	readonly #transmit: (byte: number) => void;
	readonly #irq: (level: boolean) => void;
	#ier = 0;
	#fcr = 0;
	#lcr = 0;
	#mcr = 0;
	#scr = 0;
	#divisor = 0;
	#overrun = false;
	/** The transmitter became empty and nobody has read so from IIR yet. */
	#thrPending = false;
	#msrDelta = 0;
	#line = false;
	#fifo: number[] = [];
	/** Bytes from outside that wait for room. */
	#waiting: number[] = [];

	constructor({transmit, irq}: UartOptions) {
		this.#transmit = transmit;
		this.#irq = irq;
	}

	/** Everything as after power-on, the interrupt line low. */
	reset(): void {
		this.#ier = this.#fcr = this.#lcr = this.#mcr = this.#scr = this.#divisor = this.#msrDelta = 0;
		this.#overrun = this.#thrPending = false;
		this.#fifo = [];
		this.#waiting = [];
		this.#update();
	}

	/** Bytes that arrive on the line. */
	receive(bytes: Iterable<number>): void {
		for (const byte of bytes) {
			this.#waiting.push(byte & 0xff);
		}
		this.#refill();
		this.#update();
	}

	/** A wider access reads one register, as its neighbours are not memory. */
	read(offset: number, _width: AccessWidth): number {
		const value = this.#readRegister(offset);
		this.#update();
		return value;
	}

	write(offset: number, _width: AccessWidth, value: number): void {
		this.#writeRegister(offset, value & 0xff);
		this.#update();
	}

	#readRegister(offset: number): number {
		const divisorLatch = (this.#lcr & LCR_DLAB) !== 0;
		switch (offset) {
			case RBR_THR_DLL: {
				if (divisorLatch) {
					return this.#divisor & 0xff;
				}
				const byte = this.#fifo.shift() ?? 0;
				this.#refill();
				return byte;
			}
			case IER_DLM:
				return divisorLatch ? this.#divisor >>> 8 : this.#ier;
			case IIR_FCR: {
				const cause = this.#cause();
				if (cause === IIR_THRI) {
					this.#thrPending = false;
				}
				return cause | ((this.#fcr & FCR_ENABLE) === 0 ? 0 : IIR_FIFO_ENABLED);
			}
			case LCR:
				return this.#lcr;
			case MCR:
				return this.#mcr;
			case LSR: {
				const status =
					LSR_THRE | LSR_TEMT | (this.#fifo.length > 0 ? LSR_DR : 0) | (this.#overrun ? LSR_OE : 0);
				this.#overrun = false;
				return status;
			}
			case MSR: {
				const status = this.#modemLines() | this.#msrDelta;
				this.#msrDelta = 0;
				return status;
			}
			case SCR:
				return this.#scr;
			default:
				return 0;
		}
	}

	#writeRegister(offset: number, value: number): void {
		const divisorLatch = (this.#lcr & LCR_DLAB) !== 0;
		switch (offset) {
			case RBR_THR_DLL:
				if (divisorLatch) {
					this.#divisor = (this.#divisor & 0xff00) | value;
				} else {
					this.#send(value);
				}
				break;
			case IER_DLM:
				if (divisorLatch) {
					this.#divisor = (this.#divisor & 0xff) | (value << 8);
				} else {
					// Enabling the interrupt of an empty transmitter raises it (data sheet 8.6; Linux tests for that).
					const raised = value & ~this.#ier & IER_THRI;
					this.#ier = value & IER_MASK;
					this.#thrPending = raised !== 0 || (this.#thrPending && (value & IER_THRI) !== 0);
				}
				break;
			case IIR_FCR:
				this.#writeFifoControl(value);
				break;
			case LCR:
				this.#lcr = value;
				break;
			case MCR: {
				const before = this.#modemLines();
				this.#mcr = value & MCR_MASK;
				this.#noteModemChange(before, this.#modemLines());
				this.#refill();
				break;
			}
			case SCR:
				this.#scr = value;
				break;
			default:
				break; // LSR and MSR are for reading
		}
	}

	#writeFifoControl(value: number): void {
		// Switching the FIFO on or off empties it; the other bits count only together with FCR_ENABLE.
		if (((value ^ this.#fcr) & FCR_ENABLE) !== 0 || (value & FCR_CLEAR_RCVR) !== 0) {
			this.#fifo = [];
		}
		this.#fcr = (value & FCR_ENABLE) === 0 ? 0 : value & (FCR_ENABLE | (3 << FCR_TRIGGER_SHIFT));
		this.#refill();
	}

	#send(byte: number): void {
		this.#thrPending = true;
		if ((this.#mcr & MCR_LOOP) === 0) {
			this.#transmit(byte);
		} else if (this.#fifo.length < this.#capacity()) {
			this.#fifo.push(byte);
		} else {
			this.#overrun = true;
		}
	}

	#capacity(): number {
		return (this.#fcr & FCR_ENABLE) === 0 ? 1 : FIFO_BYTES;
	}

	/** In loopback the line is cut off. */
	#refill(): void {
		if ((this.#mcr & MCR_LOOP) === 0 && this.#waiting.length > 0) {
			const room = this.#capacity() - this.#fifo.length;
			this.#fifo.push(...this.#waiting.splice(0, Math.max(0, room)));
		}
	}

	/** Upper half of MSR: a terminal that is there and ready, or in loopback what MCR puts out. */
	#modemLines(): number {
		if ((this.#mcr & MCR_LOOP) === 0) {
			return MSR_CTS | MSR_DSR | MSR_DCD;
		}
		return (
			(this.#mcr & MCR_DTR ? MSR_DSR : 0) |
			(this.#mcr & MCR_RTS ? MSR_CTS : 0) |
			(this.#mcr & MCR_OUT1 ? MSR_RI : 0) |
			(this.#mcr & MCR_OUT2 ? MSR_DCD : 0)
		);
	}

	#noteModemChange(before: number, after: number): void {
		const changed = ((before ^ after) >>> 4) & ~MSR_TERI;
		const ringEnded = (before & ~after & MSR_RI) >>> 4;
		this.#msrDelta |= changed | ringEnded;
	}

	/** The interrupt of highest priority (data sheet, table of interrupt control functions). */
	#cause(): number {
		if (this.#overrun && (this.#ier & IER_RLSI) !== 0) {
			return IIR_RLSI;
		}
		if (this.#fifo.length > 0 && (this.#ier & IER_RDI) !== 0) {
			const trigger = TRIGGER_BYTES[(this.#fcr >>> FCR_TRIGGER_SHIFT) as 0 | 1 | 2 | 3];
			return this.#fifo.length >= trigger ? IIR_RDI : IIR_TIMEOUT;
		}
		if (this.#thrPending && (this.#ier & IER_THRI) !== 0) {
			return IIR_THRI;
		}
		return this.#msrDelta !== 0 && (this.#ier & IER_MSI) !== 0 ? IIR_MSI : IIR_NO_INT;
	}

	#update(): void {
		const line = this.#cause() !== IIR_NO_INT;
		if (line !== this.#line) {
			this.#line = line;
			this.#irq(line);
		}
	}
}
