/* Every pageblock over time, and every pageblock at the cursor. */

const HEAT_ROWS = 200;
const heatmap = document.getElementById('heatmap');
const blocksCanvas = document.getElementById('blocks');

/** The colours of the states as the style sheet has them now: light or dark. */
function stateColors() {
	const style = getComputedStyle(document.documentElement);
	return STATES.map(({color}) => {
		const text = style.getPropertyValue(color).trim();
		return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
	});
}

/** Reports with the device between two times: those blocks were in flight. */
function inFlightBetween(from, to) {
	const blocks = new Set();
	for (const chain of reportingChains) {
		if (chain.availNs > to) {
			break;
		}
		if ((chain.usedNs ?? Infinity) >= from) {
			blocksOf(chain).forEach((block) => blocks.add(block));
		}
	}
	return blocks;
}

/** The state that stands for several blocks: in flight if any is, else the one that most have. */
function mainState(states, from, to, inFlight) {
	const counts = new Uint32Array(STATES.length);
	for (let block = from; block < to; block++) {
		if (inFlight.has(block)) {
			return IN_FLIGHT;
		}
		counts[states[block]]++;
	}
	return counts.indexOf(Math.max(...counts));
}

function drawHeatmap() {
	const box = heatmap.parentElement;
	box.style.marginLeft = `${LEFT}px`;
	box.style.marginRight = `${RIGHT}px`;
	if (samples.length === 0) {
		box.hidden = true;
		return;
	}
	const count = model.pageblocks.count;
	const rows = Math.min(HEAT_ROWS, count);
	const columns = Math.max(50, Math.floor(box.clientWidth));
	heatmap.width = columns;
	heatmap.height = rows;
	heatmap.style.height = `${HEAT_ROWS}px`;
	const colors = stateColors();
	const context = heatmap.getContext('2d');
	const image = context.createImageData(columns, rows);
	const span = (view.to - view.from) / columns;
	let painted = -1;
	for (let x = 0; x < columns; x++) {
		const from = view.from + x * span;
		const at = Math.max(
			0,
			lastAt(samples, from + span, ({timeNs}) => timeNs),
		);
		const inFlight = inFlightBetween(from, from + span);
		if (at === painted && inFlight.size === 0 && x > 0) {
			// The same as the column to the left, unless that one had blocks in flight.
			copyColumn(image, x, rows, columns);
			continue;
		}
		painted = inFlight.size === 0 ? at : -1;
		for (let y = 0; y < rows; y++) {
			const first = Math.floor((y * count) / rows);
			const last = Math.max(first + 1, Math.floor(((y + 1) * count) / rows));
			const [red, green, blue] = colors[mainState(samples[at].states, first, last, inFlight)];
			const pixel = 4 * (y * columns + x);
			image.data[pixel] = red;
			image.data[pixel + 1] = green;
			image.data[pixel + 2] = blue;
			image.data[pixel + 3] = 255;
		}
	}
	context.putImageData(image, 0, 0);
	drawHeatCursor(context, columns, rows);
	heatmap.setAttribute('aria-label', `State of ${count} pageblocks over time, lowest address at the top`);
}

function copyColumn(image, x, rows, columns) {
	for (let y = 0; y < rows; y++) {
		const pixel = 4 * (y * columns + x);
		image.data.copyWithin(pixel, pixel - 4, pixel);
	}
}

function drawHeatCursor(context, columns, rows) {
	if (view.cursor < view.from || view.cursor > view.to) {
		return;
	}
	const x = ((view.cursor - view.from) / (view.to - view.from)) * columns;
	context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--ink');
	context.fillRect(Math.round(x), 0, 1, rows);
}

/** One cell a pageblock, row by row from the lowest address; a frame round those of the selected batch. */
function drawBlocks() {
	if (samples.length === 0) {
		blocksCanvas.hidden = true;
		document.getElementById('blocks-text').textContent = 'The capture has no pageblock samples.';
		return;
	}
	const {count, basePfn, order} = model.pageblocks;
	const at = Math.max(
		0,
		lastAt(samples, view.cursor, ({timeNs}) => timeNs),
	);
	const states = samples[at].states.slice();
	for (const block of inFlightBetween(view.cursor, view.cursor)) {
		states[block] = IN_FLIGHT;
	}
	const columns = Math.ceil(Math.sqrt(count * 2));
	const rows = Math.ceil(count / columns);
	// Whole pixels, so that the gaps between cells are all the same.
	const cell = Math.max(3, Math.floor(blocksCanvas.parentElement.clientWidth / columns));
	blocksCanvas.width = columns * cell;
	blocksCanvas.height = rows * cell;
	blocksCanvas.style.width = `${columns * cell}px`;
	const context = blocksCanvas.getContext('2d');
	const colors = stateColors();
	const counts = STATES.map(() => 0);
	states.forEach((state, block) => {
		counts[state]++;
		context.fillStyle = `rgb(${colors[state].join(' ')})`;
		context.fillRect(
			(block % columns) * cell,
			Math.floor(block / columns) * cell,
			cell - (cell > 4 ? 1 : 0),
			cell - (cell > 4 ? 1 : 0),
		);
	});
	const selected = model.chains[view.selected];
	if (selected) {
		context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue('--bad');
		context.lineWidth = 2;
		for (const block of blocksOf(selected)) {
			context.strokeRect(
				(block % columns) * cell + 1,
				Math.floor(block / columns) * cell + 1,
				cell - 2,
				cell - 2,
			);
		}
	}
	const text = STATES.map(({name}, state) => (counts[state] > 0 ? `${counts[state]} ${name}` : '')).filter(
		Boolean,
	);
	const words = `${count} pageblocks of ${formatBytes(PAGE_SIZE * 2 ** order)} from ${hex(basePfn * PAGE_SIZE)}: ${text.join(', ')}.`;
	blocksCanvas.setAttribute('aria-label', words);
	document.getElementById('blocks-text').textContent = words;
}

document
	.getElementById('states')
	.replaceChildren(
		...STATES.map(({name, color}) =>
			html('li', {}, html('span', {class: 'swatch', style: `background: var(${color})`}), name),
		),
	);
