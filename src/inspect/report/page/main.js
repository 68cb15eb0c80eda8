/* Puts the page together. */

document.getElementById('summary').textContent =
	`${model.events} events in ${formatNs(model.lastNs - model.firstNs)} of virtual time; ` +
	`${model.lanes.reduce((sum, {chains}) => sum + chains, 0)} chains in ${model.lanes.length} queues; ` +
	(model.violationCount > 0 ? `${model.violationCount} protocol violations.` : 'no protocol violation.');

const violations = document.getElementById('violations');
if (model.violationCount === 0) {
	violations.append(html('p', {}, 'Nothing found: the traffic keeps to the rules that vmsim check knows.'));
} else {
	violations.append(
		html(
			'div',
			{class: 'scroll'},
			html(
				'table',
				{},
				html(
					'thead',
					{},
					html('tr', {}, ...cells('th', ['rule', 'packet', 'time', 'party', 'clause', 'what'])),
				),
				html(
					'tbody',
					{},
					...model.violations.map(({packet, timeNs, rule, party, clause, detail}) =>
						html('tr', {}, ...cells('td', [rule, String(packet), formatTime(timeNs), party, clause, detail])),
					),
				),
			),
		),
	);
}

/** The batch after the cursor, or before it, in the queue that the table shows. */
function step(direction) {
	const chains = listed();
	const at = chains.indexOf(view.selected);
	if (at >= 0) {
		select(chains[Math.min(Math.max(at + direction, 0), chains.length - 1)]);
		return;
	}
	const after = chains.findIndex((index) => model.chains[index].availNs > view.cursor);
	const wanted = direction > 0 ? after : (after < 0 ? chains.length : after) - 1;
	if (chains[wanted] !== undefined) {
		select(chains[wanted]);
	}
}

const ACTIONS = {
	'zoom-in': () => zoom(0.5),
	'zoom-out': () => zoom(2),
	'zoom-all': () => setWindow(FULL.from, FULL.to),
	previous: () => step(-1),
	next: () => step(1),
};
for (const [id, run] of Object.entries(ACTIONS)) {
	document.getElementById(id).addEventListener('click', run);
}

for (const element of [timeline, lanes]) {
	listenToPointer(element);
	element.addEventListener('keydown', (event) => {
		const small = (view.to - view.from) / 200;
		const keys = {
			'+': ACTIONS['zoom-in'],
			'-': ACTIONS['zoom-out'],
			0: ACTIONS['zoom-all'],
			ArrowLeft: () => (event.shiftKey ? step(-1) : setCursor(view.cursor - small)),
			ArrowRight: () => (event.shiftKey ? step(1) : setCursor(view.cursor + small)),
		};
		if (keys[event.key]) {
			event.preventDefault();
			keys[event.key]();
		}
	});
}

[drawTimeline, drawLanes, drawHeatmap, drawRing, drawBlocks, drawBatches, drawNumbers].forEach(onView);
onView(() => (document.documentElement.dataset.ready = 'true'));
readHash();
redraw();
new ResizeObserver(redraw).observe(document.body);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
addEventListener('hashchange', readHash);
