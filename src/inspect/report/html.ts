/**
 * The report as one file: the page's markup, style and script from src/inspect/report/page, with the model as JSON inside.
 * Nothing is loaded from anywhere: the content security policy in the page forbids it, and the file works from disk.
 */
import {readFileSync} from 'node:fs';
import {packageFile} from '../package-file.js';
import type {ReportModel} from './model.js';

const PAGE = 'src/inspect/report/page';
/** In the order in which they build on each other; together they are one function. */
const SCRIPTS = [
	'model.js',
	'view.js',
	'timeline.js',
	'lanes.js',
	'heatmap.js',
	'ring.js',
	'batches.js',
	'main.js',
];

/** `/*{{style}}*\/`, `"{{data}}"` and `{{title}}`: dressed so that formatters take them for style, script and JSON. */
const PLACE = /(?:\/\*|")?\{\{(\w+)\}\}(?:\*\/|")?/g;

function page(name: string): string {
	return readFileSync(packageFile(`${PAGE}/${name}`), 'utf8');
}

/** JSON inside an element: no `<` may stand in it, or `</script>` and `<!--` would end or change the element. */
function embedded(model: ReportModel): string {
	return JSON.stringify(model)
		.replaceAll('<', '\\u003c')
		.replaceAll('\u2028', '\\u2028')
		.replaceAll('\u2029', '\\u2029');
}

function escaped(text: string): string {
	return text
		.replaceAll('&', '&amp;')
		.replaceAll('<', '&lt;')
		.replaceAll('>', '&gt;')
		.replaceAll('"', '&quot;');
}

/** The report's HTML. */
export function reportHtml(model: ReportModel): string {
	const parts: Record<string, string> = {
		title: escaped(model.title),
		style: page('page.css'),
		data: embedded(model),
		script: `(() => {\n'use strict';\n${SCRIPTS.map(page).join('\n')}\n})();`,
	};
	return page('page.html').replaceAll(PLACE, (_, name: string) => parts[name]!);
}
