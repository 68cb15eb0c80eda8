/** `--reporting mainline` or `--reporting DESIGN,switch=value,...`. */
import type {ReportingConfig} from '../config.js';
import {readDesign} from '../guest-kernel/reporting/registry.js';

/** Throws UsageError for a design that is none and for switches that it does not have or that contradict each other. */
export function readReporting(flag: string, text: string): Pick<ReportingConfig, 'design' | 'switches'> {
	return readDesign(text, flag);
}
