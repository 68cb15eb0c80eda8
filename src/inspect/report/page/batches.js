/* The table of batches, and what one batch consists of: descriptors, their bytes, and what the host did with each. */

const ROWS = 50;
const batchQueue = document.getElementById('batch-queue');
const batchTable = document.getElementById('batches');
let firstRow = 0;
let shownLane = -2;

/** Chains of the chosen queue, as places in the model. */
function listed() {
	const lane = Number(batchQueue.value);
	return model.chains.flatMap((chain, index) => (lane < 0 || chain.lane === lane ? [index] : []));
}

function cells(kind, values) {
	return values.map((value) => html(kind, {}, value));
}

function drawBatches() {
	const chains = listed();
	if (shownLane !== Number(batchQueue.value)) {
		shownLane = Number(batchQueue.value);
		firstRow = 0;
	}
	const at = chains.indexOf(view.selected);
	if (at >= 0 && (at < firstRow || at >= firstRow + ROWS)) {
		firstRow = Math.floor(at / ROWS) * ROWS;
	}
	const shown = chains.slice(firstRow, firstRow + ROWS);
	batchTable.replaceChildren(
		html(
			'thead',
			{},
			html(
				'tr',
				{},
				...cells('th', ['queue', 'packet', 'time', 'head', 'descriptors', 'bytes', 'kick to used', 'freed']),
			),
		),
		html('tbody', {}, ...shown.map(batchRow)),
	);
	const total = model.lanes.reduce((sum, {chains: count}) => sum + count, 0);
	const cut =
		total > model.chains.length
			? `, of ${total} in the capture the first ${model.chains.length} are on this page`
			: '';
	document.getElementById('page-text').textContent =
		chains.length > 0 ? `${firstRow + 1} to ${firstRow + shown.length} of ${chains.length}${cut}` : 'none';
	document.getElementById('page-back').disabled = firstRow === 0;
	document.getElementById('page-on').disabled = firstRow + ROWS >= chains.length;
	drawBatch();
}

function batchRow(index) {
	const chain = model.chains[index];
	const row = html(
		'tr',
		{class: `chain${index === view.selected ? ' selected' : ''}`, 'data-batch': index, tabindex: 0},
		...cells('td', [
			laneName(chain.lane),
			String(chain.packet),
			formatTime(chain.availNs),
			String(chain.head),
			String(chain.descriptorCount),
			formatBytes(chainBytes(chain)),
			chain.usedNs === null ? 'in flight' : formatNs(chain.usedNs - beganAt(chain)),
			chain.discards.length > 0 ? formatBytes(chainFreed(chain)) : '-',
		]),
	);
	row.addEventListener('keydown', (event) => {
		if (event.key === 'Enter') {
			select(index);
		}
	});
	return row;
}

function spaced(text) {
	return text.replaceAll(/../g, '$& ').trimEnd();
}

/** The host's answers that lie in a descriptor's range. */
function answersTo(chain, addr, len) {
	return chain.discards.filter(([, , base, size]) => base >= addr && base + size <= addr + len);
}

function answerText(answers) {
	return answers
		.map(([packet, , base, size, freed, split, skipped]) =>
			skipped
				? `skipped: ${skipped} (packet ${packet})`
				: `${hex(base)}+${formatBytes(size)}: ${formatBytes(freed)} freed${split > 0 ? `, ${split} huge pages split` : ''} (packet ${packet})`,
		)
		.join('; ');
}

function drawBatch() {
	const box = document.getElementById('batch');
	const chain = model.chains[view.selected];
	if (!chain) {
		box.replaceChildren(
			html(
				'p',
				{class: 'hint'},
				'Select a batch to see its descriptors, its bytes and the host ranges that it freed.',
			),
		);
		return;
	}
	const rows = chain.descriptors.map(([index, addr, len, flags, next, indirect], at) => {
		const names = [flags & 1 ? 'NEXT' : '', flags & 2 ? 'WRITE' : '', flags & 4 ? 'INDIRECT' : ''].filter(
			Boolean,
		);
		return html(
			'tr',
			{'data-descriptor': at},
			html('td', {}, `${indirect ? 'table' : 'desc'}[${index}]${flags & 1 ? ` → ${next}` : ''}`),
			html('td', {class: 'bytes'}, spaced(chain.raw.slice(32 * at, 32 * at + 32))),
			html('td', {}, hex(addr)),
			html('td', {}, formatBytes(len)),
			html('td', {}, names.join(' ') || '-'),
			html('td', {'data-host': at}, flags & 4 ? '' : answerText(answersTo(chain, addr, len)) || '-'),
		);
	});
	const others = chain.discards.filter(
		([, , base, size]) =>
			!chain.descriptors.some(
				([, addr, len, flags]) => !(flags & 4) && base >= addr && base + size <= addr + len,
			),
	);
	const more = chain.descriptorCount - chain.descriptors.length;
	box.replaceChildren(
		html('h3', {}, `${laneName(chain.lane)}, packet ${chain.packet}, head ${chain.head}`),
		html(
			'p',
			{},
			chain.usedNs === null
				? 'Still with the device at the end of the capture.'
				: `Taken at ${formatTime(chain.availNs)}, returned in packet ${chain.usedPacket}, ${formatNs(chain.usedNs - beganAt(chain))} after the kick, with length ${chain.usedLength}. ` +
						`The host freed ${formatBytes(chainFreed(chain))} of ${formatBytes(chainBytes(chain))}.`,
		),
		html(
			'div',
			{class: 'scroll'},
			html(
				'table',
				{id: 'descriptors'},
				html(
					'thead',
					{},
					html(
						'tr',
						{},
						...cells('th', [
							'descriptor',
							'its 16 bytes in guest memory',
							'addr',
							'len',
							'flags',
							'the host',
						]),
					),
				),
				html('tbody', {}, ...rows),
			),
		),
		...(more > 0 ? [html('p', {}, `${more} more descriptors are in the capture.`)] : []),
		...(chain.payload ? [html('p', {}, 'Payload: ', html('code', {}, spaced(chain.payload)))] : []),
		...(others.length > 0 ? [html('p', {}, `The host also answered: ${answerText(others)}`)] : []),
	);
}

batchTable.addEventListener('click', (event) => {
	const row = event.target.closest('[data-batch]');
	if (row) {
		select(Number(row.dataset.batch));
	}
});
batchQueue.append(
	html('option', {value: -1}, 'all queues'),
	...model.lanes.map((_, lane) => html('option', {value: lane}, laneName(lane))),
);
batchQueue.value = String(reportingLane);
batchQueue.addEventListener('change', redraw);
document.getElementById('page-back').addEventListener('click', () => {
	firstRow = Math.max(0, firstRow - ROWS);
	redraw();
});
document.getElementById('page-on').addEventListener('click', () => {
	firstRow += ROWS;
	redraw();
});
