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

/** A ring of more slots is drawn as the stretch of it that ends behind the entries that come next. */
const MOST_SLOTS = 64;
const SLOTS_AHEAD = 8;
/** Places left empty between the two ends of such a stretch. */
const GAP = 4;

/** The slots to draw, in order, and into how many places the circle is divided. */
function slotsOf({size, nextAvail}) {
	if (size <= MOST_SLOTS) {
		return {slots: Array.from({length: size}, (_, slot) => slot), places: size};
	}
	const first = nextAvail + SLOTS_AHEAD - MOST_SLOTS;
	const slots = Array.from({length: MOST_SLOTS}, (_, at) => (((first + at) % size) + size) % size);
	return {slots, places: MOST_SLOTS + GAP};
}

/** A piece of a ring between two radii: place `at` of `places`. */
function sector(at, places, outer, inner) {
	const [from, to] = [at, at + 1].map((end) => (end / places) * 2 * Math.PI - Math.PI / 2);
	const point = (radius, angle) =>
		`${(radius * Math.cos(angle)).toFixed(2)} ${(radius * Math.sin(angle)).toFixed(2)}`;
	const large = places === 1 ? 1 : 0;
	const end = to - 1e-4;
	return (
		`M${point(outer, from)}A${outer} ${outer} 0 ${large} 1 ${point(outer, end)}` +
		`L${point(inner, end)}A${inner} ${inner} 0 ${large} 0 ${point(inner, from)}Z`
	);
}

function middleOf(at, places, radius) {
	const angle = ((at + 0.5) / places) * 2 * Math.PI - Math.PI / 2;
	return {x: (radius * Math.cos(angle)).toFixed(2), y: (radius * Math.sin(angle)).toFixed(2)};
}

function drawSlots(picture, {avail, used}, slots, places) {
	slots.forEach((slot, at) => {
		const offered = avail.get(slot);
		const returned = used.get(slot);
		const kind = !offered ? 'never' : offered.isUsed ? 'returned' : 'flight';
		const chosen = (entry) => (entry && entry.index === view.selected ? ' selected' : '');
		const availText = offered
			? `avail [${offered.chain.availIndex}] slot ${slot}: head ${offered.chain.head}`
			: `slot ${slot}: never written`;
		const usedText = returned
			? `used [${returned.chain.usedIndex}] slot ${slot}: id ${returned.chain.head}`
			: `slot ${slot}: never written`;
		picture.append(
			svg(
				'path',
				{
					class: `slot ${kind}${chosen(offered)}`,
					'data-slot': slot,
					d: sector(at, places, RING.outer, RING.middle),
				},
				svg('title', {}, availText),
			),
			svg(
				'path',
				{
					class: `slot ${returned ? 'used' : 'never'}${chosen(returned)}`,
					d: sector(at, places, RING.middle, RING.inner),
				},
				svg('title', {}, usedText),
			),
		);
		if (offered) {
			const middle = middleOf(at, places, (RING.outer + RING.middle) / 2);
			picture.append(svg('text', middle, String(offered.chain.head)));
		}
		if (returned) {
			const middle = middleOf(at, places, (RING.middle + RING.inner) / 2);
			picture.append(svg('text', middle, String(returned.chain.head)));
		}
	});
	if (places > slots.length) {
		const {x, y} = middleOf(slots.length + (GAP - 1) / 2, places, RING.middle);
		picture.append(svg('text', {x, y, style: 'font-size: 16px'}, '…'));
	}
}

/** A triangle that points at the entry that comes next. */
function pointer(slot, slots, places, radius, inwards) {
	const at = slots.indexOf(slot);
	if (at < 0) {
		return '';
	}
	const {x, y} = middleOf(at, places, radius);
	const degrees = ((at + 0.5) / places) * 360 + (inwards ? 180 : 0);
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
	const {slots, places} = slotsOf(state);
	drawSlots(picture, state, slots, places);
	picture.append(
		pointer(nextAvail % size, slots, places, RING.outer + 8, true),
		pointer(nextUsed % size, slots, places, RING.inner - 8, false),
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
