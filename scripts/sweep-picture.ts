/** Panels of lines on two logarithmic axes, as SVG. */

export interface Series {
	readonly name: string;
	readonly points: readonly {readonly x: number; readonly y: number}[];
}

export interface Panel {
	readonly title: string;
	readonly xLabel: string;
	readonly series: readonly Series[];
}

const WIDTH = 470;
const HEIGHT = 340;
const PLOT = {left: 56, right: 20, top: 44, bottom: 50};
/** Apart for every kind of colour vision, and each with a mark of its own. */
const COLORS = ['#0072b2', '#d55e00', '#555555'];

/** Both panels on the same axes, side by side; powers of two are the ticks. */
export function drawSweep(panels: readonly Panel[]): string {
	const points = panels.flatMap(({series}) => series.flatMap((line) => line.points));
	const xs = points.map(({x}) => Math.log2(x));
	const ys = points.map(({y}) => Math.log2(y));
	const axes = {
		x: scale(Math.min(...xs), Math.max(...xs), PLOT.left, WIDTH - PLOT.right),
		y: scale(Math.floor(Math.min(...ys)), Math.ceil(Math.max(...ys)), HEIGHT - PLOT.bottom, PLOT.top),
	};
	const body = panels.map(
		(panel, at) => `<g transform="translate(${at * WIDTH} 0)">${draw(panel, axes)}</g>`,
	);
	const width = WIDTH * panels.length;
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
${body.join('\n')}
</svg>
`;
}

interface Scale {
	readonly from: number;
	readonly to: number;
	at(value: number): number;
}

/** From log2 of a value to a place. */
function scale(from: number, to: number, start: number, end: number): Scale {
	return {from, to, at: (value) => start + ((value - from) / (to - from)) * (end - start)};
}

function draw({title, xLabel, series}: Panel, {x, y}: {x: Scale; y: Scale}): string {
	const parts = [
		`<text x="${PLOT.left}" y="24" font-size="14" font-weight="bold">${title}</text>`,
		`<text x="${(PLOT.left + WIDTH - PLOT.right) / 2}" y="${HEIGHT - 12}" text-anchor="middle">${xLabel}</text>`,
	];
	for (let tick = Math.ceil(x.from); tick <= x.to; tick++) {
		const at = x.at(tick).toFixed(1);
		parts.push(
			`<path d="M${at} ${PLOT.top}V${HEIGHT - PLOT.bottom}" stroke="#eee"/>`,
			`<text x="${at}" y="${HEIGHT - PLOT.bottom + 18}" text-anchor="middle">${2 ** tick}</text>`,
		);
	}
	for (let tick = y.from; tick <= y.to; tick += 2) {
		const at = y.at(tick).toFixed(1);
		parts.push(
			`<path d="M${PLOT.left} ${at}H${WIDTH - PLOT.right}" stroke="#eee"/>`,
			`<text x="${PLOT.left - 8}" y="${at}" dy="4" text-anchor="end">${2 ** tick}</text>`,
		);
	}
	for (const [nr, {name, points}] of series.entries()) {
		const color = COLORS[nr % COLORS.length]!;
		const places = points.map((point) => [x.at(Math.log2(point.x)), y.at(Math.log2(point.y))] as const);
		const path = places.map(([px, py], at) => `${at === 0 ? 'M' : 'L'}${px.toFixed(1)} ${py.toFixed(1)}`);
		parts.push(`<path d="${path.join('')}" fill="none" stroke="${color}" stroke-width="2"/>`);
		parts.push(...places.map(([px, py]) => mark(nr, px, py, color)));
		// Above its line, the second below: the lines run close together.
		const [endX, endY] = places.at(-1)!;
		parts.push(
			`<text x="${(endX - 4).toFixed(1)}" y="${(endY + (nr === 1 ? 26 : -10)).toFixed(1)}" text-anchor="end" fill="${color}">${name}</text>`,
		);
	}
	return parts.join('\n');
}

function mark(nr: number, x: number, y: number, color: string): string {
	if (nr === 0) {
		return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="4" fill="${color}"/>`;
	}
	const left = (x - 4).toFixed(1);
	const top = (y - 4).toFixed(1);
	return nr === 1
		? `<rect x="${left}" y="${top}" width="8" height="8" fill="${color}"/>`
		: `<path d="M${left} ${(y + 4).toFixed(1)}h8l-4 -8z" fill="${color}"/>`;
}
