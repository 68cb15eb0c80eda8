/**
 * The designs of free page reporting by name, and what a person may write for one: `mainline`, `bitmap-v12`,
 * `bitmap-v12,recheck=on,irq-lock=on`, `bitmap-v12-per-zone,flag=after`, `off`. docs/reporting.md describes them.
 */
import {UsageError} from '../../errors.js';
import {BitmapReporting} from './bitmap.js';
import {readBitmapSwitches, type RequestScheme} from './bitmap-switches.js';
import {MainlineReporting, type MainlineOptions} from './mainline.js';
import type {PageReporting, PageReportingDeps} from './reporting.js';
import type {Hotplug} from './zone-bitmaps.js';

/** What a kernel can say about any design; each takes what concerns it. */
export interface ReportingOptions extends MainlineOptions {
	readonly hotplug?: Hotplug;
}

/** Makes a design's object for one kernel. */
export type ReportingDesign = (deps: PageReportingDeps, options: ReportingOptions) => PageReporting;

/** A design's name and the texts of its switches. */
export interface DesignSpec {
	readonly design: string;
	readonly switches: Readonly<Record<string, string>>;
}

const BITMAP_SCHEMES: Readonly<Record<string, RequestScheme>> = {
	'bitmap-v12': 'v12',
	'bitmap-v12-per-zone': 'per-zone',
	'bitmap-v12-fetch-inc': 'fetch-inc',
	'bitmap-v12-swap': 'swap',
};

/** Every design, the default first, `off` last. */
export const DESIGN_NAMES: readonly string[] = ['mainline', ...Object.keys(BITMAP_SCHEMES), 'off'];

/** Splits `DESIGN,switch=value,...`. Throws UsageError for an unknown design and for switches that it cannot have. */
export function readDesign(text: string, label = '--reporting'): DesignSpec {
	const [name, ...parts] = text.split(',').map((part) => part.trim());
	const switches: Record<string, string> = {};
	for (const part of parts) {
		const at = part.indexOf('=');
		const key = at < 0 ? part : part.slice(0, at);
		const problem = at < 0 ? 'has no value; write on or off' : key in switches ? 'is given twice' : undefined;
		if (problem !== undefined) {
			throw new UsageError(`${label} ${JSON.stringify(text)}: ${JSON.stringify(key)} ${problem}`, {
				flag: label,
				value: text,
			});
		}
		switches[key] = part.slice(at + 1);
	}
	const spec = {design: name!, switches};
	reportingDesign(spec, label);
	return spec;
}

/** The maker of a design; undefined for `off`. Throws UsageError as readDesign does. */
export function reportingDesign(
	{design, switches}: DesignSpec,
	label = '--reporting',
): ReportingDesign | undefined {
	const scheme = BITMAP_SCHEMES[design];
	if (scheme !== undefined) {
		const read = readBitmapSwitches(label, design, scheme, switches);
		return (deps, options) => new BitmapReporting(design, scheme, deps, read, options);
	}
	if (!DESIGN_NAMES.includes(design)) {
		const names = DESIGN_NAMES.join(', ');
		throw new UsageError(`${label} ${JSON.stringify(design)} is not one of ${names}`, {
			flag: label,
			value: design,
		});
	}
	if (Object.keys(switches).length > 0) {
		throw new UsageError(`${label} ${design} has no switches`, {flag: label, value: design});
	}
	return design === 'off' ? undefined : (deps, options) => new MainlineReporting(deps, options);
}
