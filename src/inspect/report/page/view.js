/* What is looked at: the window of time, the cursor, the selected batch. All plots share it and redraw when it changes. */

const FULL = {from: model.firstNs, to: Math.max(model.lastNs, model.firstNs + 1)};
/** Nothing happens within less virtual time than this. */
const SMALLEST_WINDOW_NS = 50;
/** Space beside the plots, px: the same for all, so that their time axes lie below each other. */
const LEFT = 84;
const RIGHT = 8;

const view = {from: FULL.from, to: FULL.to, cursor: FULL.to, selected: -1};
const listeners = [];
let redrawAsked = false;

function onView(draw) {
	listeners.push(draw);
}

function redraw() {
	if (!redrawAsked) {
		redrawAsked = true;
		requestAnimationFrame(() => {
			redrawAsked = false;
			listeners.forEach((draw) => draw());
			writeHash();
		});
	}
}

function setWindow(from, to) {
	const width = Math.min(Math.max(to - from, SMALLEST_WINDOW_NS), FULL.to - FULL.from);
	const middle = (from + to) / 2;
	view.from = Math.min(Math.max(middle - width / 2, FULL.from), FULL.to - width);
	view.to = view.from + width;
	redraw();
}

function zoom(
	factor,
	around = view.cursor >= view.from && view.cursor <= view.to ? view.cursor : (view.from + view.to) / 2,
) {
	setWindow(around - (around - view.from) * factor, around + (view.to - around) * factor);
}

function setCursor(timeNs) {
	view.cursor = Math.min(Math.max(timeNs, FULL.from), FULL.to);
	if (view.cursor < view.from || view.cursor > view.to) {
		const half = (view.to - view.from) / 2;
		setWindow(view.cursor - half, view.cursor + half);
	}
	redraw();
}

/** Selects a chain by its place in the model and puts the cursor to where it is with the device. */
function select(index) {
	view.selected = index;
	const chain = model.chains[index];
	if (chain) {
		setCursor(chain.availNs);
	}
	redraw();
}

/** The address says what is looked at, so that it can be sent to somebody. */
function writeHash() {
	const parts = [`t=${Math.round(view.cursor)}`];
	if (view.from !== FULL.from || view.to !== FULL.to) {
		parts.push(`from=${Math.round(view.from)}`, `to=${Math.round(view.to)}`);
	}
	if (view.selected >= 0) {
		parts.push(`packet=${model.chains[view.selected].packet}`);
	}
	history.replaceState(null, '', `#${parts.join('&')}`);
}

function readHash() {
	const wanted = new URLSearchParams(location.hash.slice(1));
	const number = (name) =>
		wanted.has(name) && Number.isFinite(Number(wanted.get(name))) ? Number(wanted.get(name)) : undefined;
	if (number('from') !== undefined && number('to') !== undefined) {
		setWindow(number('from'), number('to'));
	}
	const selected = model.chains.findIndex(({packet}) => packet === number('packet'));
	if (selected >= 0) {
		select(selected);
	}
	if (number('t') !== undefined) {
		setCursor(number('t'));
	}
}

const SVG = 'http://www.w3.org/2000/svg';

function svg(name, attributes = {}, ...children) {
	const element = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(attributes)) {
		element.setAttribute(key, value);
	}
	element.append(...children);
	return element;
}

function html(name, attributes = {}, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		element.setAttribute(key, value);
	}
	element.append(...children);
	return element;
}

function plotWidth(element) {
	return Math.max(50, element.clientWidth - LEFT - RIGHT);
}

function xOf(timeNs, width) {
	return LEFT + ((timeNs - view.from) / (view.to - view.from)) * width;
}

function timeAt(x, width) {
	return view.from + ((x - LEFT) / width) * (view.to - view.from);
}

/** Round times in the window, some `count` of them. */
function ticks(count) {
	const rough = (view.to - view.from) / count;
	const power = 10 ** Math.floor(Math.log10(rough));
	const step = power * ([1, 2, 5].find((factor) => power * factor >= rough) ?? 10);
	const times = [];
	for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) {
		times.push(time);
	}
	return {times, step};
}

/** A tick's label, with as many digits as tell it from its neighbour. */
function tickLabel(timeNs, step) {
	const digits = Math.min(9, Math.max(0, 9 - Math.floor(Math.log10(step))));
	return `${(timeNs / 1e9).toFixed(digits)} s`;
}

function drawCursor(element, width, height) {
	if (view.cursor >= view.from && view.cursor <= view.to) {
		const x = xOf(view.cursor, width);
		element.append(svg('line', {class: 'cursor', x1: x, x2: x, y1: 0, y2: height}));
	}
}

/** Click, drag, double click and Ctrl + wheel on anything with the shared time axis. */
function listenToPointer(element) {
	let start;
	const xIn = (event) => event.clientX - element.getBoundingClientRect().left;
	element.addEventListener('pointerdown', (event) => {
		if (event.button === 0) {
			start = xIn(event);
		}
	});
	element.addEventListener('pointerup', (event) => {
		if (start === undefined) {
			return;
		}
		const width = plotWidth(element);
		const [from, to] = [Math.min(start, xIn(event)), Math.max(start, xIn(event))];
		start = undefined;
		if (to - from > 5) {
			setWindow(timeAt(from, width), timeAt(to, width));
		} else if (!event.target.closest('[data-chain]')) {
			setCursor(timeAt(to, width));
		}
	});
	element.addEventListener('pointerleave', () => (start = undefined));
	element.addEventListener('dblclick', () => setWindow(FULL.from, FULL.to));
	element.addEventListener(
		'wheel',
		(event) => {
			if (event.ctrlKey) {
				event.preventDefault();
				zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(xIn(event), plotWidth(element)));
			}
		},
		{passive: false},
	);
}
