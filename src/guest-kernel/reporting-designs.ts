/** The designs of free page reporting that a kernel can be built with, by name. A new design is one line here. */
import {MainlineReporting, type MainlineOptions} from './reporting/mainline.js';
import type {PageReporting, PageReportingDeps} from './reporting/reporting.js';

/** Makes a design's object for one kernel. */
export type ReportingDesign = (deps: PageReportingDeps, options: MainlineOptions) => PageReporting;

export const REPORTING_DESIGNS: Readonly<Record<string, ReportingDesign>> = {
	mainline: (deps, options) => new MainlineReporting(deps, options),
};
