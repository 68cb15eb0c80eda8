/** A count and what was counted: `1 lock`, `3 locks`. */
export function plural(count: number, what: string): string {
	return `${count} ${what}${count === 1 ? '' : 's'}`;
}
