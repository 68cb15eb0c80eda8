/* Guest free, host backed, reported, refaulted and the process's own memory over time. */

const CURVES = [
	{name: 'guest free', column: 1, color: 'var(--free)', dash: ''},
	{name: 'host backed', column: 2, color: 'var(--backed)', dash: '7 3'},
	{name: 'reported', column: 3, color: 'var(--reported)', dash: '2 3'},
	{name: 'refaulted', column: 4, color: 'var(--refaulted)', dash: '9 3 2 3'},
	{name: 'process RSS', column: 5, color: 'var(--rss)', dash: '4 4'},
].filter(({column}) => model.memory.some((row) => row[column] !== null));

const TIMELINE_HEIGHT = 220;
const AXIS_HEIGHT = 18;
/** With more phases than this in the window only those with room for their name get a line. */
const MARKS_WITHOUT_LABEL = 20;
/** Width of a letter of a label, px. */
const LETTER = 6;
const timeline = document.getElementById('timeline');

/** A curve keeps its value until the next sample: steps. Off the window one sample is kept on either side. */
function curvePath(column, width, height, top) {
	const first = Math.max(
		0,
		lastAt(model.memory, view.from, ([timeNs]) => timeNs),
	);
	let path = '';
	let previous;
	for (let at = first; at < model.memory.length; at++) {
		const row = model.memory[at];
		if (row[column] === null) {
			continue;
		}
		const x = Math.min(Math.max(xOf(row[0], width), LEFT), LEFT + width);
		const y = height - (row[column] / top) * (height - 8);
		path +=
			previous === undefined
				? `M${LEFT} ${y.toFixed(1)}H${x.toFixed(1)}`
				: `H${x.toFixed(1)}V${y.toFixed(1)}`;
		previous = y;
		if (row[0] > view.to) {
			return path;
		}
	}
	return previous === undefined
		? ''
		: `${path}H${Math.min(xOf(model.lastNs, width), LEFT + width).toFixed(1)}`;
}

function drawTimeline() {
	const width = plotWidth(timeline);
	const height = TIMELINE_HEIGHT - AXIS_HEIGHT;
	timeline.setAttribute('height', TIMELINE_HEIGHT);
	timeline.replaceChildren();
	const top = Math.max(
		1,
		...model.memory.map((row) => Math.max(...CURVES.map(({column}) => row[column] ?? 0))),
	);
	for (const share of [0, 0.25, 0.5, 0.75, 1]) {
		const y = height - share * (height - 8);
		timeline.append(
			svg('line', {class: 'grid', x1: LEFT, x2: LEFT + width, y1: y, y2: y}),
			svg('text', {x: LEFT - 6, y: y + 4, 'text-anchor': 'end'}, formatBytes(share * top)),
		);
	}
	const {times, step} = ticks(Math.max(3, width / 130));
	for (const timeNs of times) {
		const x = xOf(timeNs, width);
		timeline.append(
			svg('line', {class: 'grid', x1: x, x2: x, y1: 0, y2: height}),
			svg('text', {x, y: height + 14, 'text-anchor': 'middle'}, tickLabel(timeNs, step)),
		);
	}
	drawMarks(width, height);
	for (const {name, column, color, dash} of CURVES) {
		timeline.append(
			svg('path', {
				class: 'curve',
				'data-curve': name,
				d: curvePath(column, width, height, top),
				stroke: color,
				'stroke-dasharray': dash,
			}),
		);
	}
	for (const {timeNs, rule, packet} of model.violations) {
		if (timeNs >= view.from && timeNs <= view.to) {
			const x = xOf(timeNs, width);
			timeline.append(
				svg('path', {class: 'bad', d: `M${x - 5} 0h10l-5 9z`}, svg('title', {}, `packet ${packet}: ${rule}`)),
			);
		}
	}
	drawCursor(timeline, width, height);
	describeTimeline();
}

/** Phases of the workload; a label only where there is room behind the last one. */
function drawMarks(width, height) {
	const shown = model.marks.filter(([timeNs]) => timeNs >= view.from && timeNs <= view.to);
	let free = LEFT;
	for (const [timeNs, text] of shown) {
		const x = xOf(timeNs, width);
		const labelled = x >= free;
		if (labelled || shown.length <= MARKS_WITHOUT_LABEL) {
			timeline.append(svg('line', {class: 'mark', x1: x, x2: x, y1: 0, y2: height}, svg('title', {}, text)));
		}
		if (labelled) {
			const fits = x + 3 + LETTER * text.length < LEFT + width;
			timeline.append(
				svg('text', {x: fits ? x + 3 : x - 3, y: 10, 'text-anchor': fits ? 'start' : 'end'}, text),
			);
			free = x + 12 + LETTER * text.length;
		}
	}
}

function describeTimeline() {
	const at = Math.max(
		0,
		lastAt(model.memory, view.cursor, ([timeNs]) => timeNs),
	);
	const row = model.memory[at];
	document.getElementById('legend').replaceChildren(
		...CURVES.map(({name, column, color, dash}) =>
			html(
				'li',
				{},
				svg(
					'svg',
					{'aria-hidden': 'true'},
					svg('line', {
						x1: 0,
						x2: 22,
						y1: 5,
						y2: 5,
						stroke: color,
						'stroke-width': 2.5,
						'stroke-dasharray': dash,
					}),
				),
				`${name}: ${row && row[column] !== null ? formatBytes(row[column]) : '-'}`,
			),
		),
	);
	const values = row
		? CURVES.map(({name, column}) => `${name} ${formatBytes(row[column] ?? 0)}`).join(', ')
		: 'no samples';
	timeline.setAttribute('aria-label', `Memory over time. At ${formatTime(view.cursor)}: ${values}`);
	document.getElementById('cursor-time').textContent = `cursor at ${formatTime(view.cursor)}`;
}

function drawNumbers() {
	const rows = model.memory.filter(([timeNs]) => timeNs >= view.from && timeNs <= view.to);
	const stride = Math.max(1, Math.ceil(rows.length / 50));
	document
		.getElementById('numbers')
		.replaceChildren(
			html(
				'thead',
				{},
				html('tr', {}, html('th', {}, 'time'), ...CURVES.map(({name}) => html('th', {}, `${name}, bytes`))),
			),
			html(
				'tbody',
				{},
				...rows
					.filter((_, index) => index % stride === 0)
					.map((row) =>
						html(
							'tr',
							{},
							html('td', {}, formatTime(row[0])),
							...CURVES.map(({column}) => html('td', {}, String(row[column] ?? '-'))),
						),
					),
			),
		);
}
