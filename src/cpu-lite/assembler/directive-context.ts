/** What a directive has to do with: the program that is being assembled, as far as directives change it. */
import type {Expression, ResolveLocal} from './expression.js';
import type {Statement} from './statement.js';
import type {TokenCursor} from './tokens.js';

/** What a directive can do to the program that is being assembled. */
export interface DirectiveContext {
	readonly resolveLocal: ResolveLocal;
	add(statement: Statement): void;
	/** Value that is known before layout; throws StatementError. */
	evaluate(expression: Expression): bigint;
	set(name: string, expression: Expression, mayRedefine: boolean): void;
	markGlobal(name: string): void;
	switchSection(name: string, noBits: boolean): void;
	pushSection(): void;
	popSection(): void;
	/** Raises the alignment of the current section, in bytes. */
	requireAlignment(bytes: number): void;
	/** .option push and pop, and the one option that matters. */
	pushOptions(): void;
	popOptions(): void;
	compress: boolean;
	/** True in a section of code, where alignment is filled with nops. */
	readonly inCode: boolean;
}

export type Directive = (cursor: TokenCursor, context: DirectiveContext) => void;
