/* A queue's rings as they stood at the cursor: available ring outside, used ring inside, slot 0 at the top. */

const RING = {outer: 220, middle: 172, inner: 124};
const ringQueue = document.getElementById('ring-queue');

/** The chain in each slot of both rings at a time, and the indices. */
function ringAt(lane, timeNs) {
	const {size} = model.lanes[lane];
	const avail = new Map();
	const used = new Map();
	let nextAvail = 0;
	let nextUsed = 0;
	const flight = [];
	let lastUsedNs = -1;
	model.chains.forEach((chain, index) => {
		if (chain.lane !== lane || chain.availNs > timeNs) {
			return;
		}
		const isUsed = chain.usedNs !== null && chain.usedNs <= timeNs;
		avail.set(chain.availIndex % size, {chain, index, isUsed});
		nextAvail = (chain.availIndex + 1) & 0xffff;
		if (!isUsed) {
			flight.push(chain);
		} else {
			const slot = chain.usedIndex % size;
			const before = used.get(slot);
			if (!before || before.chain.usedNs <= chain.usedNs) {
				used.set(slot, {chain, index});
			}
			if (chain.usedNs >= lastUsedNs) {
				lastUsedNs = chain.usedNs;
				nextUsed = (chain.usedIndex + 1) & 0xffff;
			}
		}
	});
	return {size, avail, used, nextAvail, nextUsed, flight};
}

/** A piece of a ring between two radii, from slot `slot` of `size`. */
function sector(slot, size, outer, inner) {
	const [from, to] = [slot, slot + 1].map((at) => (at / size) * 2 * Math.PI - Math.PI / 2);
	const point = (radius, angle) =>
		`${(radius * Math.cos(angle)).toFixed(2)} ${(radius * Math.sin(angle)).toFixed(2)}`;
	const large = size === 1 ? 1 : 0;
	return `M${point(outer, from)}A${outer} ${outer} 0 ${large} 1 ${point(outer, to - 1e-4)}L${point(inner, to - 1e-4)}A${inner} ${inner} 0 ${large} 0 ${point(inner, from)}Z`;
}

function middleOf(slot, size, radius) {
	const angle = ((slot + 0.5) / size) * 2 * Math.PI - Math.PI / 2;
	return {x: (radius * Math.cos(angle)).toFixed(2), y: (radius * Math.sin(angle)).toFixed(2)};
}

function drawSlots(picture, {size, avail, used}) {
	const labels = size <= 64;
	for (let slot = 0; slot < size; slot++) {
		const offered = avail.get(slot);
		const returned = used.get(slot);
		const kind = !offered ? 'never' : offered.isUsed ? 'returned' : 'flight';
		const chosen = (entry) => (entry && entry.index === view.selected ? ' selected' : '');
		picture.append(
			svg(
				'path',
				{
					class: `slot ${kind}${chosen(offered)}`,
					'data-slot': slot,
					d: sector(slot, size, RING.outer, RING.middle),
				},
				svg(
					'title',
					{},
					offered
						? `avail [${offered.chain.availIndex}] slot ${slot}: head ${offered.chain.head}`
						: `slot ${slot}: never written`,
				),
			),
			svg(
				'path',
				{
					class: `slot ${returned ? 'used' : 'never'}${chosen(returned)}`,
					d: sector(slot, size, RING.middle, RING.inner),
				},
				svg(
					'title',
					{},
					returned
						? `used [${returned.chain.usedIndex}] slot ${slot}: id ${returned.chain.head}`
						: `slot ${slot}: never written`,
				),
			),
		);
		if (labels && offered) {
			picture.append(
				svg('text', middleOf(slot, size, (RING.outer + RING.middle) / 2), String(offered.chain.head)),
			);
		}
		if (labels && returned) {
			picture.append(
				svg('text', middleOf(slot, size, (RING.middle + RING.inner) / 2), String(returned.chain.head)),
			);
		}
	}
}

/** A triangle that points at the entry that comes next. */
function pointer(slot, size, radius, inwards) {
	const {x, y} = middleOf(slot, size, radius);
	const degrees = ((slot + 0.5) / size) * 360 + (inwards ? 180 : 0);
	return svg('path', {
		class: 'pointer',
		d: 'M0 -6l5 9h-10z',
		transform: `translate(${x} ${y}) rotate(${degrees})`,
	});
}

function drawRing() {
	const box = document.getElementById('ring');
	const text = document.getElementById('ring-text');
	const lane = Number(ringQueue.value);
	if (!model.lanes[lane] || model.lanes[lane].size === 0) {
		box.replaceChildren();
		text.textContent = 'The capture does not say how long this ring is.';
		return;
	}
	const state = ringAt(lane, view.cursor);
	const {size, nextAvail, nextUsed, flight} = state;
	const picture = svg('svg', {viewBox: '-236 -236 472 472', role: 'img'});
	drawSlots(picture, state);
	picture.append(
		pointer(nextAvail % size, size, RING.outer + 8, true),
		pointer(nextUsed % size, size, RING.inner - 8, false),
		svg('text', {x: 0, y: -16, style: 'font-size: 15px'}, laneName(lane)),
		svg('text', {x: 0, y: 6}, `next avail [${nextAvail}], next used [${nextUsed}]`),
		svg('text', {x: 0, y: 24}, `${flight.length} in flight of ${size} entries`),
	);
	const words = `${laneName(lane)} at ${formatTime(view.cursor)}: the device takes avail [${nextAvail}] next and fills used [${nextUsed}] next, ${flight.length} in flight.`;
	picture.setAttribute('aria-label', words);
	text.textContent = words;
	const selected = model.chains[view.selected];
	const shown = flight.length > 0 ? flight.slice(-3) : selected && selected.lane === lane ? [selected] : [];
	box.replaceChildren(picture, ...shown.map(drawLinks));
}

/** The descriptors of a chain, linked as they are in the table. */
function drawLinks(chain) {
	const parts = chain.descriptors.flatMap(([index, addr, len, flags], at) => [
		...(at > 0 ? ['→'] : []),
		html(
			'span',
			{title: `${hex(addr)} + ${formatBytes(len)}`},
			`${flags & 4 ? 'table' : flags & 2 ? 'W' : 'R'} ${index}`,
		),
	]);
	return html('div', {class: 'links', 'data-links': chain.head}, `head ${chain.head}:`, ...parts);
}

ringQueue.append(...model.lanes.map((_, lane) => html('option', {value: lane}, laneName(lane))));
ringQueue.value = String(Math.max(0, reportingLane));
ringQueue.addEventListener('change', redraw);
document.getElementById('ring-legend').replaceChildren(
	...[
		['--s-inflight', 'with the device'],
		['--s-free', 'offered and returned'],
		['--s-mixed', 'used element'],
		['--panel', 'never written'],
	].map(([color, name]) =>
		html('li', {}, html('span', {class: 'swatch', style: `background: var(${color})`}), name),
	),
);
