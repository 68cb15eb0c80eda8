/** The listing: where each statement went, as bytes and as it was written. */
import type {SourceStatement} from './statement.js';

export interface ListedStatement {
	readonly source: SourceStatement;
	readonly address: bigint;
	readonly bytes: Uint8Array;
}

const BYTES_PER_LINE = 8;

/** Lines of `address  bytes  text  # file:line` of labels and whatever has bytes; more than 8 bytes take more lines. */
export function formatListing(statements: readonly ListedStatement[]): string {
	return statements
		.filter(({source, bytes}) => bytes.length > 0 || source.text.endsWith(':'))
		.map(formatStatement)
		.join('');
}

function formatStatement({source, address, bytes}: ListedStatement): string {
	const {text, location} = source;
	const lines: string[] = [];
	for (let at = 0; at < Math.max(1, bytes.length); at += BYTES_PER_LINE) {
		const part = Buffer.from(bytes.subarray(at, at + BYTES_PER_LINE)).toString('hex');
		const what = at === 0 ? `  ${text}  # ${location.file}:${location.line}` : '';
		const where = (address + BigInt(at)).toString(16).padStart(16, '0');
		lines.push(`${where}  ${part.padEnd(2 * BYTES_PER_LINE)}${what}\n`);
	}
	return lines.join('');
}
