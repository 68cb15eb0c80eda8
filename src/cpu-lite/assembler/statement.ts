/** What the layout works with: one statement that takes up room in a section, or none. */
import type {Location} from './errors.js';
import type {Environment} from './expression.js';

export interface Statement {
	/**
	 * Bytes at this place, with what is known so far. May throw UndefinedSymbol in early passes. A statement whose form
	 * depends on distances must never shrink from one call to the next, so that the layout settles.
	 */
	measure(env: Environment): number;
	/** Exactly the measured bytes. Throws StatementError. */
	emit(env: Environment): Uint8Array;
}

/** A statement with its place in the source. */
export interface SourceStatement {
	readonly statement: Statement;
	readonly section: Section;
	readonly location: Location;
	/** Source text, for the listing. */
	readonly text: string;
	/** Set by the layout: offset in the section and size in bytes. */
	offset: number;
	sizeBytes: number;
}

/** A section while it is being laid out. */
export interface Section {
	readonly name: string;
	/** Holds only zeros and no bytes of the image (.bss). */
	readonly noBits: boolean;
	/** Bytes, a power of two: the largest alignment that something in it asks for. */
	alignment: number;
	base: bigint;
	sizeBytes: number;
}
