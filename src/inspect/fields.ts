/**
 * Every field that a captured record can hold, once: its name in Wireshark's display filter (with `vmsim.` in front),
 * its label, width, base, value names and bits. `-V`, `-Y`, `--fields`, JSON, docs/capture-format.md and the field list
 * of wireshark/vmsim.lua are all read off this table; layout.ts says where in a record each field lies.
 */
import {
	BALLOON_QUEUES,
	VIRTIO_BALLOON_CONFIG,
	VIRTIO_BALLOON_FEATURES,
	VIRTIO_BALLOON_S,
} from '../virtio/balloon/spec.js';
import {
	DeviceStatus,
	MMIO_CONFIG_AT,
	MMIO_REGISTERS,
	VIRTIO_FEATURES,
	VIRTIO_ID_BALLOON,
	VIRTQ_DESC_F_INDIRECT,
	VIRTQ_DESC_F_NEXT,
	VIRTQ_DESC_F_WRITE,
} from '../virtio/spec.js';

export const PROTOCOL = 'vmsim';

/** `bool` is one bit of a byte or word, `string` is le16 length + UTF-8, `bytes` runs to the end of the record. */
export type FieldType = 'u8' | 'u16' | 'u32' | 'u64' | 'bool' | 'string' | 'bytes';

export const WIDTH_BYTES = {u8: 1, u16: 2, u32: 4, u64: 8} as const;

/** One named bit of an integer field. */
export interface BitSpec {
	readonly name: string;
	readonly label: string;
	readonly mask: number;
}

export interface FieldSpec {
	/** Without the leading `vmsim.`. */
	readonly name: string;
	readonly label: string;
	readonly type: FieldType;
	readonly base?: 'hex';
	readonly unit?: 'bytes' | 'pages';
	/** Names of values: a filter may compare with the name instead of the number. */
	readonly values?: Readonly<Record<number, string>>;
	readonly bits?: readonly BitSpec[];
	/** Where the value is defined: a clause of VIRTIO 1.4, or what it counts. */
	readonly source?: string;
}

/** `{NAME: number}` turned round, for tables that are written the other way in the specification's spelling. */
function namesOf(table: Readonly<Record<string, number>>): Record<number, string> {
	return Object.fromEntries(Object.entries(table).map(([name, value]) => [value, name]));
}

/** The names of the values of an event's own string union, numbered as the record stores them. */
function numbered(names: readonly string[]): Record<number, string> {
	return Object.fromEntries(names.map((name, value) => [value, name]));
}

export const QUEUE_ROLES = BALLOON_QUEUES.map((queue) => queue.name);
/** Order is the wire format: append only. 0 is "no reason". */
export const SKIP_REASONS = [
	'none',
	'unaligned',
	'outside-memory',
	'poison',
	'inhibited',
	'device-readable',
	'no-round',
] as const;
export const NOTIFY_IGNORED = ['none', 'no-such-queue', 'not-ready', 'not-live', 'needs-reset'] as const;
export const HINT_PHASES = ['requested', 'started', 'stopped', 'done'] as const;

const REGISTER_NAMES: Record<number, string> = {
	...namesOf(
		Object.fromEntries(Object.entries(MMIO_REGISTERS).map(([name, register]) => [name, register.at])),
	),
	...namesOf(
		Object.fromEntries(
			Object.entries(VIRTIO_BALLOON_CONFIG).map(([name, {at}]) => [`Config.${name}`, MMIO_CONFIG_AT + at]),
		),
	),
};

const STATUS_BITS: BitSpec[] = Object.entries(DeviceStatus).map(([name, mask]) => ({
	name: name.toLowerCase(),
	label: name,
	mask,
}));

/** The named feature bits that lie in one of the four 32-bit words. */
function featureBits(word: number): BitSpec[] {
	return Object.entries({...VIRTIO_BALLOON_FEATURES, ...VIRTIO_FEATURES})
		.filter(([, bit]) => Math.floor(bit / 32) === word)
		.map(([name, bit]) => ({
			name: name.replace(/^VIRTIO_(BALLOON_)?F_/, '').toLowerCase(),
			label: name,
			mask: 2 ** (bit % 32),
		}));
}

function featureWords(which: 'offered' | 'accepted'): FieldSpec[] {
	return [0, 1, 2, 3].map((word) => ({
		name: `features.${which}.word${word}`,
		label: `${which === 'offered' ? 'Offered' : 'Accepted'} features ${word * 32}..${word * 32 + 31}`,
		type: 'u32',
		base: 'hex',
		// A bit's name hangs below `features.offered`, not below the word that happens to hold it.
		bits: featureBits(word).map((bit) => ({...bit, name: `../${bit.name}`})),
		source: 'VIRTIO 1.4 2.2, 6, 5.5.3',
	}));
}

const FLAG_BIT: BitSpec[] = [{name: 'no_interrupt', label: 'VIRTQ_AVAIL_F_NO_INTERRUPT', mask: 1}];

export const FIELD_LIST: readonly FieldSpec[] = [
	{name: 'version', label: 'Record version', type: 'u8'},
	{name: 'event', label: 'Event', type: 'u8'}, // its value names are the event names: layout.ts
	{
		name: 'device_id',
		label: 'Device ID',
		type: 'u8',
		values: {0: 'machine', [VIRTIO_ID_BALLOON]: 'memory balloon'},
		source: 'VIRTIO 1.4 5',
	},
	{name: 'slot', label: 'virtio-mmio slot', type: 'u8'},
	{name: 'queue', label: 'Queue', type: 'u16', source: 'VIRTIO 1.4 5.5.2'},
	{
		name: 'queue.role',
		label: 'Queue role',
		type: 'u8',
		values: numbered(QUEUE_ROLES),
		source: 'VIRTIO 1.4 5.5.2',
	},
	{name: 'flags', label: 'Record flags', type: 'u8', base: 'hex'},
	{name: 'ring_index', label: 'Ring index', type: 'u16', source: 'VIRTIO 1.4 2.7.13.3'},
	{name: 'head', label: 'Head', type: 'u16', source: 'VIRTIO 1.4 2.7.13'},
	{name: 'count', label: 'Elements in this record', type: 'u32'},

	{name: 'mmio.write', label: 'Write', type: 'bool'},
	{
		name: 'mmio.offset',
		label: 'Register',
		type: 'u32',
		base: 'hex',
		values: REGISTER_NAMES,
		source: 'VIRTIO 1.4 4.2.2',
	},
	{name: 'mmio.width', label: 'Access width', type: 'u8', unit: 'bytes', source: 'VIRTIO 1.4 4.2.2.2'},
	{name: 'mmio.value', label: 'Value', type: 'u64', base: 'hex'},

	{name: 'status.from', label: 'Status before', type: 'u8', base: 'hex', source: 'VIRTIO 1.4 2.1'},
	{
		name: 'status',
		label: 'Status',
		type: 'u8',
		base: 'hex',
		bits: STATUS_BITS,
		source: 'VIRTIO 1.4 2.1',
	},

	{name: 'features.ok', label: 'FEATURES_OK', type: 'bool', source: 'VIRTIO 1.4 3.1.1'},
	...featureWords('offered'),
	...featureWords('accepted'),

	{name: 'queue.ready', label: 'QueueReady', type: 'bool', source: 'VIRTIO 1.4 4.2.2'},
	{name: 'queue.size', label: 'Queue size', type: 'u32', source: 'VIRTIO 1.4 2.7'},
	{name: 'queue.desc', label: 'Descriptor table', type: 'u64', base: 'hex', source: 'VIRTIO 1.4 2.7.5'},
	{name: 'queue.driver', label: 'Available ring', type: 'u64', base: 'hex', source: 'VIRTIO 1.4 2.7.6'},
	{name: 'queue.device', label: 'Used ring', type: 'u64', base: 'hex', source: 'VIRTIO 1.4 2.7.8'},
	{name: 'queue.name', label: 'Queue name', type: 'string', source: 'VIRTIO 1.4 5.5.2'},

	{
		name: 'notify.ignored',
		label: 'Ignored because',
		type: 'u8',
		values: numbered(NOTIFY_IGNORED),
		source: 'VIRTIO 1.4 2.1.2, 4.2.2',
	},
	{name: 'ring.known', label: 'Ring indices known', type: 'bool'},
	{
		name: 'ring.avail_flags',
		label: 'avail.flags',
		type: 'u16',
		base: 'hex',
		bits: FLAG_BIT,
		source: 'VIRTIO 1.4 2.7.6',
	},
	{name: 'ring.avail_idx', label: 'avail.idx', type: 'u16', source: 'VIRTIO 1.4 2.7.6'},
	{name: 'ring.used_event', label: 'used_event', type: 'u16', source: 'VIRTIO 1.4 2.7.7'},
	{
		name: 'ring.used_flags',
		label: 'used.flags',
		type: 'u16',
		base: 'hex',
		bits: [{name: 'no_notify', label: 'VIRTQ_USED_F_NO_NOTIFY', mask: 1}],
		source: 'VIRTIO 1.4 2.7.8',
	},
	{name: 'ring.used_idx', label: 'used.idx', type: 'u16', source: 'VIRTIO 1.4 2.7.8'},
	{name: 'ring.avail_event', label: 'avail_event', type: 'u16', source: 'VIRTIO 1.4 2.7.10'},

	{name: 'avail.idx_known', label: 'avail.idx known', type: 'bool'},
	{name: 'chain.descriptors', label: 'Descriptors in the chain', type: 'u32'},
	{name: 'avail.idx', label: 'avail.idx as the device read it', type: 'u16', source: 'VIRTIO 1.4 2.7.6'},
	{
		name: 'chain.readable',
		label: 'Device-readable bytes',
		type: 'u64',
		unit: 'bytes',
		source: 'VIRTIO 1.4 2.7.4',
	},
	{
		name: 'chain.writable',
		label: 'Device-writable bytes',
		type: 'u64',
		unit: 'bytes',
		source: 'VIRTIO 1.4 2.7.4',
	},
	{name: 'desc.index', label: 'Index in its table', type: 'u16', source: 'VIRTIO 1.4 2.7.5'},
	{
		name: 'desc.table',
		label: 'Table',
		type: 'u16',
		values: {0: 'descriptor table', 1: 'indirect table'},
		source: 'VIRTIO 1.4 2.7.5.3',
	},
	{name: 'desc.addr', label: 'addr', type: 'u64', base: 'hex', source: 'VIRTIO 1.4 2.7.5'},
	{name: 'desc.len', label: 'len', type: 'u32', unit: 'bytes', source: 'VIRTIO 1.4 2.7.5'},
	{
		name: 'desc.flags',
		label: 'flags',
		type: 'u16',
		base: 'hex',
		bits: [
			{name: 'next', label: 'VIRTQ_DESC_F_NEXT', mask: VIRTQ_DESC_F_NEXT},
			{name: 'write', label: 'VIRTQ_DESC_F_WRITE', mask: VIRTQ_DESC_F_WRITE},
			{name: 'indirect', label: 'VIRTQ_DESC_F_INDIRECT', mask: VIRTQ_DESC_F_INDIRECT},
		],
		source: 'VIRTIO 1.4 2.7.5',
	},
	{name: 'desc.next', label: 'next', type: 'u16', source: 'VIRTIO 1.4 2.7.5'},
	{name: 'payload', label: 'Device-readable payload', type: 'bytes', source: 'VIRTIO 1.4 2.7.4'},

	{name: 'used.id', label: 'id', type: 'u32', source: 'VIRTIO 1.4 2.7.8'},
	{name: 'used.len', label: 'len', type: 'u32', unit: 'bytes', source: 'VIRTIO 1.4 2.7.8.2'},
	{name: 'used.sent', label: 'Interrupt sent', type: 'bool', source: 'VIRTIO 1.4 2.7.7.2'},
	{name: 'config.generation', label: 'ConfigGeneration', type: 'u32', source: 'VIRTIO 1.4 2.5'},
	{name: 'irq.level', label: 'Interrupt line', type: 'bool', source: 'VIRTIO 1.4 4.2.3.4'},
	{name: 'fault.code', label: 'Code', type: 'string'},
	{name: 'fault.clause', label: 'Clause', type: 'string'},
	{name: 'fault.detail', label: 'Detail', type: 'string'},
	{name: 'needs_reset.reason', label: 'Reason', type: 'string', source: 'VIRTIO 1.4 2.1.2'},

	{
		name: 'discard.skipped',
		label: 'Skipped because',
		type: 'u8',
		values: numbered(SKIP_REASONS),
		source: 'VIRTIO 1.4 5.5.6.7.2',
	},
	{name: 'discard.huge_split', label: 'Huge pages split', type: 'u32', source: 'host model'},
	{name: 'discard.base', label: 'Base', type: 'u64', base: 'hex', source: 'guest-physical address'},
	{name: 'discard.size', label: 'Size', type: 'u64', unit: 'bytes'},
	{name: 'discard.freed', label: 'Freed', type: 'u64', unit: 'bytes', source: 'bytes that had a frame'},
	{name: 'balloon.pfn', label: 'Page frame number', type: 'u32', base: 'hex', source: 'VIRTIO 1.4 5.5.6'},
	{name: 'balloon.target', label: 'num_pages', type: 'u64', unit: 'pages', source: 'VIRTIO 1.4 5.5.4'},
	{name: 'balloon.actual', label: 'actual', type: 'u64', unit: 'pages', source: 'VIRTIO 1.4 5.5.4'},
	{
		name: 'stat.tag',
		label: 'Tag',
		type: 'u16',
		values: namesOf(VIRTIO_BALLOON_S),
		source: 'VIRTIO 1.4 5.5.6.4',
	},
	{name: 'stat.val', label: 'Value', type: 'u64', source: 'VIRTIO 1.4 5.5.6.4'},
	{name: 'hint.command_id', label: 'free_page_hint_cmd_id', type: 'u32', source: 'VIRTIO 1.4 5.5.6.5'},
	{
		name: 'hint.phase',
		label: 'Phase',
		type: 'u8',
		values: numbered(HINT_PHASES),
		source: 'VIRTIO 1.4 5.5.6.5',
	},

	{name: 'fault.refault', label: 'Page was discarded before', type: 'bool'},
	{name: 'fault.huge', label: 'Huge page', type: 'bool'},
	{name: 'page.pfn', label: 'Page frame number', type: 'u64', base: 'hex'},
	{name: 'page.order', label: 'Order', type: 'u32'},
	{name: 'page.migratetype', label: 'Migratetype', type: 'u32'},
	{name: 'host.limit', label: 'Host limit', type: 'u64', unit: 'bytes'},
	{name: 'memory.rss_known', label: 'RSS known', type: 'bool'},
	{name: 'memory.guest_free', label: 'Guest free', type: 'u64', unit: 'bytes'},
	{name: 'memory.host_backed', label: 'Host backed', type: 'u64', unit: 'bytes'},
	{name: 'memory.reported', label: 'Reported', type: 'u64', unit: 'bytes'},
	{name: 'memory.refaulted', label: 'Refaulted', type: 'u64', unit: 'bytes'},
	{name: 'memory.rss', label: 'Process RSS', type: 'u64', unit: 'bytes'},

	{name: 'boot.phase', label: 'Phase', type: 'string'},
	{name: 'boot.detail', label: 'Detail', type: 'string'},
	{name: 'console.text', label: 'Text', type: 'string'},
	{name: 'kick.sent', label: 'Notified', type: 'bool', source: 'VIRTIO 1.4 2.7.10.1'},
	{name: 'reporting.design', label: 'Design', type: 'string'},
	{name: 'reporting.state', label: 'State', type: 'string'},
	{name: 'report.ok', label: 'Acknowledged', type: 'bool', source: 'VIRTIO 1.4 5.5.6.7'},
	{name: 'zone', label: 'Zone', type: 'string'},
	{name: 'block.pfn', label: 'First page frame', type: 'u64', base: 'hex'},
	{name: 'block.order', label: 'Order', type: 'u32'},
	{name: 'pageblocks.base_pfn', label: 'First page frame', type: 'u64', base: 'hex'},
	{name: 'pageblocks.order', label: 'Pageblock order', type: 'u32'},
	{name: 'pageblocks.states', label: 'States, one byte a pageblock', type: 'bytes'},
	{name: 'oom.detail', label: 'Detail', type: 'string'},
	{name: 'workload.held', label: 'Held', type: 'u64', unit: 'bytes'},
	{name: 'workload.phase', label: 'Phase', type: 'string'},
	{name: 'integrity.expected', label: 'Expected', type: 'u64', base: 'hex'},
	{name: 'integrity.found', label: 'Found', type: 'u64', base: 'hex'},
];

/** `features.offered.word0` and bit `../event_idx` make `features.offered.event_idx`. */
export function bitName(field: FieldSpec, bit: BitSpec): string {
	return bit.name.startsWith('../')
		? `${field.name.slice(0, field.name.lastIndexOf('.'))}.${bit.name.slice(3)}`
		: `${field.name}.${bit.name}`;
}

const BY_NAME: ReadonlyMap<string, FieldSpec> = new Map(FIELD_LIST.map((field) => [field.name, field]));

/** The field of that name (without `vmsim.`); throws if the table has none, which is our own bug. */
export function fieldNamed(name: string): FieldSpec {
	const field = BY_NAME.get(name);
	if (!field) {
		throw new RangeError(`no field ${PROTOCOL}.${name}`);
	}
	return field;
}
