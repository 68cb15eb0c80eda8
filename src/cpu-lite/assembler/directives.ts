/** Directives by name: those that make data, and those that set symbols, sections and options. As in the GNU assembler. */
import {DATA_DIRECTIVES} from './data-directives.js';
import type {Directive} from './directive-context.js';
import {StatementError} from './errors.js';
import {parseExpression} from './expression.js';

const set =
	(mayRedefine: boolean): Directive =>
	(cursor, context) => {
		const name = cursor.take('name', 'a symbol');
		cursor.expect(',');
		context.set(name, parseExpression(cursor, context.resolveLocal), mayRedefine);
	};

/** `.section name, "flags", @type`: only @nobits means anything without a linker. */
const section: Directive = (cursor, context) => {
	const name =
		cursor.peek()?.type === 'string' ? cursor.take('string', '').slice(1, -1) : cursor.take('name', 'a name');
	let noBits = name === '.bss' || name.startsWith('.bss.');
	while (cursor.accept(',')) {
		if (cursor.accept('@') || cursor.accept('%')) {
			noBits ||= cursor.take('name', 'progbits or nobits') === 'nobits';
		} else {
			cursor.index++;
		}
	}
	context.switchSection(name, noBits);
};

const option: Directive = (cursor, context) => {
	const name = cursor.take('name', 'an option');
	switch (name) {
		case 'rvc':
		case 'norvc':
			context.compress = name === 'rvc';
			break;
		case 'push':
			context.pushOptions();
			break;
		case 'pop':
			context.popOptions();
			break;
		// Nothing is relaxed, nothing is position-independent, and the architecture is the table's.
		case 'relax':
		case 'norelax':
		case 'pic':
		case 'nopic':
			break;
		case 'arch':
			cursor.index = cursor.tokens.length;
			break;
		default:
			throw new StatementError(`unknown option "${name}"`);
	}
};

const globalNames: Directive = (cursor, context) => {
	do {
		context.markGlobal(cursor.take('name', 'a symbol'));
	} while (cursor.accept(','));
};

/** For a linker or a debugger, of which there is none. */
const ignored: Directive = (cursor) => {
	cursor.index = cursor.tokens.length;
};

const fail: Directive = (cursor) => {
	throw new StatementError(cursor.atEnd ? '.error' : cursor.take('string', 'a string').slice(1, -1));
};

const DIRECTIVES: ReadonlyMap<string, Directive> = new Map<string, Directive>([
	...DATA_DIRECTIVES,
	['.equ', set(true)],
	['.set', set(true)],
	['.equiv', set(false)],
	...['.text', '.data', '.rodata', '.bss'].map(
		(name) => [name, ((_, context) => context.switchSection(name, name === '.bss')) as Directive] as const,
	),
	['.section', section],
	[
		'.pushsection',
		(cursor, context) => {
			context.pushSection();
			section(cursor, context);
		},
	],
	['.popsection', (_, context) => context.popSection()],
	['.option', option],
	['.globl', globalNames],
	['.global', globalNames],
	['.error', fail],
	...['.local', '.weak', '.hidden', '.type', '.size', '.file', '.ident', '.attribute', '.loc'].map(
		(name) => [name, ignored] as const,
	),
]);

/** Directives that begin with this are for unwinding tables. */
const UNWINDING = '.cfi_';

export function findDirective(name: string): Directive | undefined {
	return DIRECTIVES.get(name) ?? (name.startsWith(UNWINDING) ? ignored : undefined);
}
