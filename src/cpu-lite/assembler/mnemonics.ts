/** From an instruction's text to its statement: every row of the table, compressed rows, and pseudo-instructions. */
import {CSR_NUMBERS} from '../csr-numbers.js';
import {OPERANDS, registerNumber} from '../isa/operands.js';
import {COMPRESSED, ILLEGAL_OP, INSTRUCTIONS, opNumber, type Form} from '../isa/table.js';
import {StatementError} from './errors.js';
import {constant, hi20, lo12, type Expression, type ResolveLocal} from './expression.js';
import {InstructionStatement, type Unit} from './instruction-statement.js';
import {LoadImmediateStatement} from './load-immediate.js';
import {parseOperands, syntaxPieces, type Operands} from './operands.js';
import {PSEUDO_INSTRUCTIONS, type Template} from './pseudo.js';
import type {Statement} from './statement.js';
import {TokenCursor, type Token} from './tokens.js';

/** One way to write a mnemonic's operands. */
interface Candidate {
	readonly syntax: string;
	build(operands: Operands, mayCompress: boolean): Statement;
}

function formCandidate(form: Form, op: number | undefined, aqrl?: number): Candidate {
	return {
		syntax: form.syntax,
		build(operands, mayCompress) {
			const all = aqrl === undefined ? operands : new Map([...operands, ['aqrl', aqrl]]);
			return new InstructionStatement([{form, op, operands: all}], mayCompress);
		},
	};
}

/** Puts the operands of a pseudo-instruction into one of the instructions that it stands for. */
function instantiate({name, operands: sources}: Template, given: Operands): Unit {
	const op = opNumber(name);
	const form = INSTRUCTIONS[op]!;
	const targets = syntaxPieces(form.syntax).filter((piece) => /[a-z]/.test(piece));
	const operands = new Map(targets.map((target, index) => [target, resolve(sources[index]!, given)]));
	return {form, op, operands};
}

function resolve(source: string, given: Operands): number | Expression {
	if (source === 'hi' || source === 'lo') {
		const symbol = given.get('symbol') as Expression;
		return source === 'hi' ? (env) => hi20(symbol(env) - env.here) : (env) => lo12(symbol(env) - env.here);
	}
	const fixed = registerNumber(source) ?? given.get(source);
	return fixed ?? constant(BigInt(CSR_NUMBERS[source] ?? source));
}

const CANDIDATES = makeCandidates();

function makeCandidates(): ReadonlyMap<string, readonly Candidate[]> {
	const all = new Map<string, Candidate[]>();
	const add = (name: string, candidate: Candidate): void => {
		all.set(name, [...(all.get(name) ?? []), candidate]);
	};
	INSTRUCTIONS.forEach((form, op) => {
		if (op === ILLEGAL_OP) {
			return;
		}
		add(form.name, formCandidate(form, op));
		if (form.encoding.fields.some(({slot}) => slot === OPERANDS.aqrl.slot)) {
			['.rl', '.aq', '.aqrl'].forEach((suffix, index) => {
				add(form.name + suffix, formCandidate(form, op, index + 1));
			});
		}
	});
	for (const {form} of COMPRESSED) {
		add(form.name, formCandidate(form, undefined));
	}
	for (const {name, syntax, templates} of PSEUDO_INSTRUCTIONS) {
		add(name, {
			syntax,
			build: (operands, mayCompress) =>
				new InstructionStatement(
					templates.map((template) => instantiate(template, operands)),
					mayCompress,
				),
		});
	}
	add('li', {
		syntax: 'rd, value',
		build: (operands, mayCompress) =>
			new LoadImmediateStatement(
				operands.get('rd') as number,
				operands.get('value') as Expression,
				mayCompress,
			),
	});
	return all;
}

export function isMnemonic(name: string): boolean {
	return CANDIDATES.has(name);
}

/**
 * Parses the operands in each way that the mnemonic has until one fits; the error, if none does, is of the way that
 * went furthest.
 */
export function parseInstruction(
	mnemonic: string,
	tokens: readonly Token[],
	resolveLocal: ResolveLocal,
	mayCompress: boolean,
): Statement {
	const candidates = CANDIDATES.get(mnemonic);
	if (candidates === undefined) {
		throw new StatementError(`unknown instruction "${mnemonic}"`);
	}
	let best: {index: number; error: StatementError} | undefined;
	for (const candidate of candidates) {
		const cursor = new TokenCursor(tokens);
		try {
			return candidate.build(parseOperands(cursor, candidate.syntax, resolveLocal), mayCompress);
		} catch (error) {
			if (!(error instanceof StatementError)) {
				throw error;
			}
			if (best === undefined || cursor.index > best.index) {
				best = {index: cursor.index, error};
			}
		}
	}
	const forms = candidates.map(({syntax}) => `${mnemonic} ${syntax}`.trim()).join(' | ');
	throw new StatementError(`${best!.error.message}; the form is ${forms}`);
}
