/** /proc/buddyinfo: free blocks by order, a line per populated zone. Linux 6.12 mm/vmstat.c (frag_show_print). */
import type {Memory} from '../mm/memory.js';

export function buddyinfo({zones}: Memory): string {
	return zones
		.map((zone) => {
			const counts = Array.from(zone.freeArea.nrFree, (count) => `${String(count).padStart(6)} `);
			return `Node 0, zone ${zone.name.padStart(8)} ${counts.join('')}\n`;
		})
		.join('');
}
