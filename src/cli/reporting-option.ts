/** `--reporting mainline` or `--reporting DESIGN,switch=value,...`. */
import type {ReportingConfig} from '../config.js';
import {UsageError} from '../errors.js';
import {readChoice} from './values.js';

const DESIGNS = ['mainline', 'off'] as const;

export function readReporting(flag: string, text: string): Pick<ReportingConfig, 'design' | 'switches'> {
	const [name, ...switches] = text.split(',');
	const design = readChoice(flag, name!, DESIGNS);
	if (switches.length > 0) {
		throw new UsageError(`${flag} ${JSON.stringify(text)}: ${design} has no switches`, {flag, value: text});
	}
	return {design, switches: {}};
}
