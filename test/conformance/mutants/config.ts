/** Broken devices: the configuration space. */
import {type Mutant, FEATURES_OK, registers, reads, readOnly} from './mutant.js';

export const CONFIG_MUTANTS: readonly Mutant[] = [
	registers('CFG-01', 'the configuration space is big-endian', () => ({
		config: (_, width, value) => (width === 4 ? swapped(value) : value),
	})),
	registers('CFG-01.wide', 'num_pages has 16 bits', () => ({
		config: (offset, _, value) => (offset === 0 ? value & 0xffff : value),
	})),
	registers('CFG-05', 'the configuration is blank before FEATURES_OK', ({wire}) => ({
		config: (_, __, value) => (wire.status & FEATURES_OK ? value : 0),
	})),
	reads('CFG-06', 'the generation stands still', 'ConfigGeneration', () => 0),
	registers('CFG-06.still', 'the generation moves with every read', () => {
		let reads = 0;
		return {read: (name, value) => (name === 'ConfigGeneration' ? reads++ : value)};
	}),
	reads('OP-01', 'configuration changes are not notified', 'InterruptStatus', (value) => value & ~2),
	registers('OP-01.cmd-id', 'a new command id has no new generation', (lab) => {
		let hidden = 0;
		return {
			host: {
				async startHinting() {
					const before = lab.read('ConfigGeneration');
					await lab.device.startHinting!();
					hidden += lab.read('ConfigGeneration') - before;
				},
			},
			read: (name, value) => (name === 'ConfigGeneration' ? value - hidden : value),
		};
	}),
	shadowed('BAL-05.num-pages', 'num_pages can be written', 0),
	shadowed('BAL-05.cmd-id', 'free_page_hint_cmd_id can be written', 8),
	readOnly('BAL-19', 'actual cannot be written', 4),
	registers('BAL-19', 'actual has 16 bits', () => ({
		writeConfig: (offset, _, value) => (offset === 4 ? value & 0xffff : value),
	})),
	readOnly('BAL-60', 'poison_val cannot be written', 12),
];

/** A field that the driver can overwrite although it is the device's. */
function shadowed(caughtBy: string, name: string, field: number): Mutant {
	return registers(caughtBy, name, () => {
		let shadow: number | undefined;
		return {
			writeConfig(offset, _, value) {
				shadow = offset === field ? value : shadow;
				return value;
			},
			config: (offset, _, value) => (offset === field ? (shadow ?? value) : value),
		};
	});
}

function swapped(word: number): number {
	const view = new DataView(new ArrayBuffer(4));
	view.setUint32(0, word, true);
	return view.getUint32(0, false);
}
