/** Source text as lines: without comments, one statement each, labels apart. */
import type {Location} from './errors.js';

export interface Line {
	/** Without comments and labels; never empty, unless it has labels only. */
	readonly text: string;
	readonly labels: readonly string[];
	readonly location: Location;
}

const LABEL = /^\s*([A-Za-z_.$][\w.$]*|[0-9]+)\s*:/;

/** Takes comments away (`#`, `//`, block), splits at `;`, keeps strings and characters as they are. */
export function splitLines(source: string, file: string): Line[] {
	const lines: Line[] = [];
	let line = 1;
	let text = '';
	const finish = (): void => {
		if (text.trim() !== '') {
			lines.push(makeLine(text, {file, line}));
		}
		text = '';
	};
	const piece = /\n|;|#[^\n]*|\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^\\\n])'|[^]/g;
	for (const [part] of source.matchAll(piece)) {
		if (part === '\n' || part === ';') {
			finish();
			line += part === '\n' ? 1 : 0;
		} else if (part.startsWith('/*')) {
			const newlines = part.split('\n').length - 1;
			if (newlines > 0) {
				finish();
			}
			line += newlines;
			text += ' ';
		} else if (!part.startsWith('#') && !part.startsWith('//')) {
			text += part;
		}
	}
	finish();
	return lines;
}

/** Takes the labels off a statement. */
export function makeLine(source: string, location: Location): Line {
	const labels: string[] = [];
	let text = source;
	for (let match = LABEL.exec(text); match !== null; match = LABEL.exec(text)) {
		labels.push(match[1]!);
		text = text.slice(match[0].length);
	}
	return {text: text.trim(), labels, location};
}

/** A line as one text again, for substitution of macro arguments in labels as well. */
export function unsplit(line: Line): string {
	return line.labels.map((label) => `${label}: `).join('') + line.text;
}
