/** The WebAssembly encoder: what it writes is accepted by the engine of the host and does what was asked. */
import test from 'ava';
import {instantiate} from '../../../src/cpu-lite/wasm/api.js';
import {Code, pushSigned, pushUnsigned} from '../../../src/cpu-lite/wasm/code.js';
import {ModuleBuilder, type Signature} from '../../../src/cpu-lite/wasm/module.js';
import {I32, I64, OP} from '../../../src/cpu-lite/wasm/opcodes.js';
import {createLinearMemory} from '../../../src/host/linear-memory.js';
import {InvariantError} from '../../../src/errors.js';

/** A module with one function, instantiated. */
function compile<F>(signature: Signature, emit: (code: Code) => void): {run: F; memory: DataView} {
	const memory = createLinearMemory(65_536);
	const module = new ModuleBuilder();
	module.importMemory('host', 'memory', 1);
	const code = new Code(signature.parameters.length);
	emit(code);
	module.exportFunction('run', signature, code);
	const {run} = instantiate<{run: F}>(module.build(), {host: {memory}});
	return {run, memory: new DataView(memory.buffer)};
}

const UNARY: Signature = {parameters: [I32], results: [I32]};
const NULLARY_64: Signature = {parameters: [], results: [I64]};

test('LEB128 as in the examples of the DWARF and WebAssembly specifications', (t) => {
	const unsigned = (value: number) => {
		const bytes: number[] = [];
		pushUnsigned(bytes, value);
		return bytes;
	};
	const signed = (value: bigint) => {
		const bytes: number[] = [];
		pushSigned(bytes, value);
		return bytes;
	};
	t.deepEqual(unsigned(0), [0]);
	t.deepEqual(unsigned(127), [0x7f]);
	t.deepEqual(unsigned(128), [0x80, 1]);
	t.deepEqual(unsigned(624_485), [0xe5, 0x8e, 0x26]);
	t.deepEqual(unsigned(0xffff_ffff), [0xff, 0xff, 0xff, 0xff, 0x0f]);
	t.deepEqual(signed(-123_456n), [0xc0, 0xbb, 0x78]);
	t.deepEqual(signed(63n), [63]);
	t.deepEqual(signed(64n), [0xc0, 0]);
	t.deepEqual(signed(-64n), [0x40]);
	t.deepEqual(signed(-65n), [0xbf, 0x7f]);
});

test('constants of every size arrive unchanged', (t) => {
	for (let bit = 0n; bit < 64n; bit++) {
		for (const value of [1n << bit, (1n << bit) - 1n, -(1n << bit)]) {
			const {run} = compile<() => bigint>(NULLARY_64, (code) => code.i64(value));
			t.is(run(), BigInt.asIntN(64, value));
		}
	}
	for (const value of [0, -1, 2 ** 31 - 1, -(2 ** 31), 64, -64, 63]) {
		t.is(compile<(x: number) => number>(UNARY, (code) => code.i32(value)).run(0), value);
	}
});

test('branches find their label through nested blocks', (t) => {
	// 0 + 1 + ... + n by a loop in a block
	const {run} = compile<(n: number) => number>(UNARY, (code) => {
		const sum = code.local(I32);
		const done = code.block();
		const again = code.loop();
		code.get(0).op(OP.i32_eqz).brIf(done);
		code.get(sum).get(0).op(OP.i32_add).set(sum);
		code.get(0).i32(1).op(OP.i32_sub).set(0).br(again);
		code.end(again).end(done).get(sum);
	});
	t.is(run(100), 5050);
	t.is(run(0), 0);
});

test('a table branches to the label of its index, and to the last one beyond', (t) => {
	const {run} = compile<(n: number) => number>(UNARY, (code) => {
		const labels = [code.block(), code.block(), code.block()];
		code.get(0).brTable([labels[2]!, labels[1]!], labels[0]!);
		code.end(labels[2]!).i32(10).op(OP.return);
		code.end(labels[1]!).i32(20).op(OP.return);
		code.end(labels[0]!).i32(30);
	});
	t.deepEqual([0, 1, 2, 1000, -1].map(run), [10, 20, 30, 30, 30]);
});

test('if and else, and locals beyond the parameters', (t) => {
	const {run} = compile<(n: number) => number>(UNARY, (code) => {
		const wide = code.local(I64);
		code.i64(5n).set(wide).get(0);
		const label = code.if(I32);
		code.i32(1).else().get(wide).op(OP.i32_wrap_i64).end(label);
	});
	t.is(run(7), 1);
	t.is(run(0), 5);
});

test('memory offsets are added without wrapping', (t) => {
	const {run, memory} = compile<(n: number) => number>(UNARY, (code) => {
		code.get(0).i32(0x1234).memory(OP.i32_store, 1000);
		code.get(0).memory(OP.i32_load16_u, 1000);
	});
	t.is(run(24), 0x1234);
	t.is(memory.getUint32(1024, true), 0x1234);
	t.throws(() => run(-1004), {message: /out of bounds/});
});

test('imported functions come before own ones, equal signatures are written once', (t) => {
	const seen: number[] = [];
	const module = new ModuleBuilder();
	module.importMemory('host', 'memory', 1);
	const first = module.importFunction('env', 'first', UNARY);
	const second = module.importFunction('env', 'second', UNARY);
	const code = new Code(1);
	code.get(0).call(first).call(second);
	module.exportFunction('run', UNARY, code);
	const bytes = module.build();
	const {run} = instantiate<{run: (n: number) => number}>(bytes, {
		host: {memory: createLinearMemory(65_536)},
		env: {first: (n) => n + 1, second: (n) => (seen.push(n), n * 2)},
	});
	t.is(run(4), 10);
	t.deepEqual(seen, [5]);
	t.deepEqual([...bytes.subarray(8, 12)], [1, 6, 1, 0x60], 'type section: one type');
});

test('blocks that are closed in the wrong order, or not at all, are bugs', (t) => {
	const code = new Code();
	const outer = code.block();
	code.block();
	t.throws(() => code.end(outer), {instanceOf: InvariantError});
	t.throws(() => code.finish(), {instanceOf: InvariantError});
	const closed = new Code();
	const label = closed.block();
	closed.end(label);
	t.throws(() => closed.br(label), {instanceOf: InvariantError});
});
