/** A guest that is made of instructions. */
import type {FlagGroup} from './flag.js';

export const PROGRAM_FLAGS: FlagGroup = {
	kernel: {
		describe: 'Boot this RISC-V Linux Image; its console is this terminal (Ctrl-A x quits)',
		apply: (plan, _flag, text) => {
			plan.program.kernel = text;
		},
	},
	initrd: {
		describe: 'Initial ramdisk for --kernel',
		apply: (plan, _flag, text) => {
			plan.program.initrd = text;
		},
	},
	append: {
		describe: 'Command line for --kernel [console=ttyS0]',
		apply: (plan, _flag, text) => {
			plan.program.append = text;
		},
	},
	bios: {
		describe: 'M-mode ELF file in place of the firmware (ends with what it writes to tohost), or none',
		apply: (plan, _flag, text) => {
			plan.program.bios = text;
		},
	},
	'dtb-dump': {
		describe: 'Write the flattened device tree to this file',
		apply: (plan, _flag, text) => {
			plan.dtbDump = text;
		},
	},
};
