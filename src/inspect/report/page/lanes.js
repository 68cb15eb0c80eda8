/* One lane per queue below the curves, on the same axis: a bar from the kick to the used element for each chain. */

const LANE_HEIGHT = 22;
const lanes = document.getElementById('lanes');
/** Bars narrower than this are drawn this wide; where several meet in a pixel they become one. */
const SMALLEST_BAR = 3;

function drawLanes() {
	const width = plotWidth(lanes);
	const height = LANE_HEIGHT * model.lanes.length;
	lanes.setAttribute('height', Math.max(1, height));
	lanes.replaceChildren();
	const visible = model.lanes.map(() => 0);
	model.lanes.forEach((_, index) => {
		const y = LANE_HEIGHT * index;
		lanes.append(
			svg(
				'g',
				{'data-lane': index},
				svg('text', {class: 'lane-label', x: LEFT - 6, y: y + 15, 'text-anchor': 'end'}, laneName(index)),
				svg('line', {
					class: 'grid',
					x1: LEFT,
					x2: LEFT + width,
					y1: y + LANE_HEIGHT - 1,
					y2: y + LANE_HEIGHT - 1,
				}),
			),
		);
	});
	const groups = lanes.querySelectorAll('[data-lane]');
	const bars = model.lanes.map(() => []);
	model.chains.forEach((chain, index) => {
		const to = chain.usedNs ?? model.lastNs;
		if (to < view.from || beganAt(chain) > view.to) {
			return;
		}
		visible[chain.lane]++;
		const x = Math.max(LEFT, xOf(beganAt(chain), width));
		const end = Math.min(LEFT + width, Math.max(xOf(to, width), x + SMALLEST_BAR));
		const last = bars[chain.lane].at(-1);
		if (last && x < last.end && index !== view.selected && last.index !== view.selected) {
			last.end = Math.max(last.end, end);
			last.count++;
		} else {
			bars[chain.lane].push({x, end, index, count: 1});
		}
	});
	bars.forEach((list, lane) => groups[lane].append(...list.map((bar) => drawBar(bar, lane))));
	drawCursor(lanes, width, height);
	lanes.setAttribute(
		'aria-label',
		`Chains in the window: ${model.lanes.map((_, lane) => `${laneName(lane)} ${visible[lane]}`).join(', ')}`,
	);
}

function drawBar({x, end, index, count}, lane) {
	const chain = model.chains[index];
	const kind =
		index === view.selected ? ' selected' : count > 1 ? ' many' : chain.usedNs === null ? ' open' : '';
	const text =
		count > 1
			? `${count} chains from packet ${chain.packet} on`
			: `packet ${chain.packet}: head ${chain.head}, ${chain.descriptorCount} descriptors, ${formatBytes(chainBytes(chain))}`;
	return svg(
		'rect',
		{
			class: `bar${kind}`,
			'data-chain': index,
			x,
			y: LANE_HEIGHT * lane + 4,
			width: Math.max(1, end - x),
			height: LANE_HEIGHT - 9,
		},
		svg('title', {}, text),
	);
}

lanes.addEventListener('click', (event) => {
	const bar = event.target.closest('[data-chain]');
	if (bar) {
		select(Number(bar.dataset.chain));
	}
});
