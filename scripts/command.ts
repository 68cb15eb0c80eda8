/** The command line of a script that is called by `npm run NAME -- OPTIONS`: its options, `--help`, exit 2 for bad input. */
import {parseArgs} from 'node:util';
import {UsageError} from '../src/errors.js';

export interface Option {
	readonly type: 'string' | 'boolean';
	readonly default?: string | boolean;
	/** What stands for its value in the list of options. */
	readonly value?: string;
	readonly describe: string;
}

type Options = Readonly<Record<string, Option>>;
type Values<O extends Options> = ReturnType<typeof parseArgs<{options: O}>>['values'];

const HELP: Option = {type: 'boolean', describe: 'This list'};

/** Runs the script with its options and makes what it returns the exit code. `about` is what the list of options begins with. */
export async function runScript<O extends Options>(
	{name, about, options}: {readonly name: string; readonly about: string; readonly options: O},
	run: (values: Values<O>) => number | Promise<number>,
): Promise<void> {
	try {
		const {values} = parseArgs({options: {...options, help: HELP}});
		if ('help' in values) {
			console.log(usage(name, about, {...options, help: HELP}));
			return;
		}
		process.exitCode = await run(values as Values<O>);
	} catch (error) {
		const wrongOption = (error as {code?: string}).code?.startsWith('ERR_PARSE_ARGS');
		if (!(error instanceof UsageError) && !wrongOption) {
			throw error;
		}
		const hint = wrongOption ? `\nTry 'npm run ${name} -- --help'.` : '';
		console.error(`${name}: ${(error as Error).message}${hint}`);
		process.exitCode = 2;
	}
}

function usage(name: string, about: string, options: Options): string {
	const rows = Object.entries(options).map(([flag, {value, describe, default: preset}]) => ({
		left: value === undefined ? `--${flag}` : `--${flag} ${value}`,
		right: typeof preset === 'string' ? `${describe} [${preset}]` : describe,
	}));
	const width = Math.max(...rows.map(({left}) => left.length));
	const lines = rows.map(({left, right}) => `  ${left.padEnd(width)}  ${right}`);
	return `npm run ${name} -- [OPTIONS]\n\n${about}\n\n${lines.join('\n')}`;
}
