/**
 * A filter's tree -> one function. Semantics are Wireshark's: a field that occurs several times matches if any
 * occurrence does, except `!=` and `===`, which ask for all; a comparison with a field that is not there is false.
 */
import {fieldAccess, similarNames, type FieldAccess, type PacketContext, type Value} from '../access.js';
import type {Packet} from '../packet.js';
import {FilterSyntaxError} from './lexer.js';
import {parseFilter, type FilterNode, type Literal, type Relation} from './parser.js';

export interface Filter {
	/** Some field of the expression needs the context's linker. */
	readonly linked: boolean;
	test(packet: Packet, context: PacketContext): boolean;
}

type Test = Filter['test'];
type ValueTest = (value: Value) => boolean;

/** Compiles a display filter; throws FilterSyntaxError for an unknown field, a bad value or a bad expression. */
export function compileFilter(expression: string): Filter {
	const compiler = new Compiler(expression);
	const test = compiler.compile(parseFilter(expression));
	return {linked: compiler.linked, test};
}

class Compiler {
	linked = false;
	readonly #expression: string;

	constructor(expression: string) {
		this.#expression = expression;
	}

	compile(node: FilterNode): Test {
		switch (node.kind) {
			case 'and': {
				const [left, right] = [this.compile(node.left), this.compile(node.right)];
				return (packet, context) => left(packet, context) && right(packet, context);
			}
			case 'or': {
				const [left, right] = [this.compile(node.left), this.compile(node.right)];
				return (packet, context) => left(packet, context) || right(packet, context);
			}
			case 'not': {
				const inner = this.compile(node.of);
				return (packet, context) => !inner(packet, context);
			}
			case 'exists': {
				const access = this.#field(node.field, node.at);
				return (packet, context) => access.some(packet, context, () => true);
			}
			case 'compare': {
				const access = this.#field(node.field, node.at);
				return this.#compare(access, node.relation, node.literal, node.at);
			}
			case 'in': {
				const access = this.#field(node.field, node.at);
				const tests = node.items.map(({from, to}): ValueTest => {
					if (!to) {
						return relationTest('==', this.#value(access, from));
					}
					const [low, high] = [this.#value(access, from), this.#value(access, to)];
					const [above, below] = [relationTest('>=', low), relationTest('<=', high)];
					return (value) => above(value) && below(value);
				});
				return (packet, context) =>
					access.some(packet, context, (value) => tests.some((test) => test(value)));
			}
		}
	}

	#field(name: string, at: number): FieldAccess {
		const access = fieldAccess(name);
		if (!access) {
			throw new FilterSyntaxError(
				`"${name}" is not a field; similar: ${similarNames(name).join(', ')}`,
				this.#expression,
				at,
			);
		}
		this.linked ||= access.linked ?? false;
		return access;
	}

	#compare(access: FieldAccess, relation: Relation, literal: Literal, at: number): Test {
		if (access.type === 'protocol') {
			throw new FilterSyntaxError(`${access.name} is a protocol and has no value`, this.#expression, at);
		}
		if (relation === 'contains' && access.type !== 'string' && access.type !== 'bytes') {
			throw new FilterSyntaxError(
				`contains needs a string or bytes, ${access.name} is of type ${access.type}`,
				this.#expression,
				at,
			);
		}
		const value = this.#value(access, literal);
		if (relation === '!=' || relation === '===') {
			const differs = relationTest(relation === '!=' ? '==' : '!==', value);
			return (packet, context) =>
				access.some(packet, context, () => true) && !access.some(packet, context, differs);
		}
		const test = relationTest(relation, value);
		return (packet, context) => access.some(packet, context, test);
	}

	/** A literal in the field's own type. */
	#value(access: FieldAccess, literal: Literal): Value {
		const value = parseLiteral(access, literal);
		if (value === undefined) {
			const names = access.values ? ` or one of ${Object.values(access.values).join(', ')}` : '';
			throw new FilterSyntaxError(
				`"${literal.text}" is not ${WANTED[access.type]}${names} (${access.name})`,
				this.#expression,
				literal.at,
			);
		}
		return value;
	}
}

const WANTED: Readonly<Record<FieldAccess['type'], string>> = {
	integer: 'a number in the range of the field',
	bool: 'true, false, 1 or 0',
	time: 'a number of seconds',
	string: 'a string',
	bytes: 'bytes such as 01:02:ff or a string in quotes',
	protocol: 'a value',
};

function parseLiteral(access: FieldAccess, {text, quoted}: Literal): Value | undefined {
	switch (access.type) {
		case 'string':
			return text;
		case 'bytes':
			return quoted ? new TextEncoder().encode(text) : parseBytes(text);
		case 'bool':
			return /^(true|1)$/i.test(text) ? 1 : /^(false|0)$/i.test(text) ? 0 : undefined;
		case 'time':
			return /^\d+(\.\d+)?$/.test(text) ? secondsToNs(text) : undefined;
		case 'integer': {
			const named = Object.entries(access.values ?? {}).find(
				([, name]) => name.toLowerCase() === text.toLowerCase(),
			);
			return named ? Number(named[0]) : parseInteger(text, access.max!);
		}
		default:
			return undefined;
	}
}

/** Exact to the ns, which a double of seconds is not. */
function secondsToNs(text: string): number {
	const [whole = '0', fraction = ''] = text.split('.');
	return Number(whole) * 1e9 + Number(fraction.slice(0, 9).padEnd(9, '0'));
}

/** Decimal, 0x hex, 0b binary, and octal with a leading 0, as Wireshark reads numbers. */
function parseInteger(text: string, max: bigint): Value | undefined {
	if (!/^(0x[0-9a-f]+|0b[01]+|0[0-7]*|[1-9]\d*)$/i.test(text)) {
		return undefined;
	}
	const value = BigInt(/^0[0-7]+$/.test(text) ? `0o${text.slice(1)}` : text.toLowerCase());
	if (value > max) {
		return undefined;
	}
	return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

function parseBytes(text: string): Uint8Array | undefined {
	const digits = text.replace(/^0x/, '').replace(/[:.-]/g, '');
	return /^([0-9a-f]{2})+$/i.test(digits) ? new Uint8Array(Buffer.from(digits, 'hex')) : undefined;
}

/** Bytes compare as unsigned strings of bytes; a number and a bigint compare by value. */
function relationTest(relation: Relation, wanted: Value): ValueTest {
	if (wanted instanceof Uint8Array) {
		const expected = Buffer.from(wanted);
		const order = (value: Value): number => Buffer.compare(value as Uint8Array, expected);
		return {
			'==': (value: Value) => order(value) === 0,
			'===': (value: Value) => order(value) === 0,
			'!=': (value: Value) => order(value) !== 0,
			'!==': (value: Value) => order(value) !== 0,
			'>': (value: Value) => order(value) > 0,
			'<': (value: Value) => order(value) < 0,
			'>=': (value: Value) => order(value) >= 0,
			'<=': (value: Value) => order(value) <= 0,
			contains: (value: Value) => asBuffer(value as Uint8Array).includes(expected),
		}[relation];
	}
	switch (relation) {
		case '==':
		case '===':
			// A record never holds one number in both shapes: a bigint is always above 2^53.
			return (value) => value === wanted;
		case '!=':
		case '!==':
			return (value) => value !== wanted;
		case '>':
			return (value) => value > wanted;
		case '<':
			return (value) => value < wanted;
		case '>=':
			return (value) => value >= wanted;
		case '<=':
			return (value) => value <= wanted;
		case 'contains':
			return (value) => (value as string).includes(wanted as string);
	}
}

function asBuffer(bytes: Uint8Array): Buffer {
	return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
