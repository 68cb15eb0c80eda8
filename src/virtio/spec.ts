/**
 * The numbers of VIRTIO 1.4 (Committee Specification 01, April 2026) that both sides of the wire share, in the
 * specification's spelling. Only split rings and virtio-mmio version 2; device types have their own spec.ts.
 */

/** Device status bits, VIRTIO 1.4 2.1. */
export const DeviceStatus = {
	ACKNOWLEDGE: 1,
	DRIVER: 2,
	DRIVER_OK: 4,
	FEATURES_OK: 8,
	/** 1.4 only, with VIRTIO_F_SUSPEND. */
	SUSPEND: 16,
	DEVICE_NEEDS_RESET: 64,
	FAILED: 128,
} as const;

/** Reserved feature bits that are not of one device type, VIRTIO 1.4 6. Values are bit numbers. */
export const VIRTIO_F_INDIRECT_DESC = 28;
export const VIRTIO_F_EVENT_IDX = 29;
export const VIRTIO_F_VERSION_1 = 32;
export const VIRTIO_F_ACCESS_PLATFORM = 33;
export const VIRTIO_F_RING_PACKED = 34;
export const VIRTIO_F_IN_ORDER = 35;
export const VIRTIO_F_ORDER_PLATFORM = 36;
export const VIRTIO_F_SR_IOV = 37;
export const VIRTIO_F_NOTIFICATION_DATA = 38;
export const VIRTIO_F_NOTIF_CONFIG_DATA = 39;
export const VIRTIO_F_RING_RESET = 40;
export const VIRTIO_F_ADMIN_VQ = 41;
export const VIRTIO_F_SUSPEND = 43;

/** Bit number by name: what a decoder prints and a command line reads. */
export const VIRTIO_FEATURES = {
	VIRTIO_F_INDIRECT_DESC,
	VIRTIO_F_EVENT_IDX,
	VIRTIO_F_VERSION_1,
	VIRTIO_F_ACCESS_PLATFORM,
	VIRTIO_F_RING_PACKED,
	VIRTIO_F_IN_ORDER,
	VIRTIO_F_ORDER_PLATFORM,
	VIRTIO_F_SR_IOV,
	VIRTIO_F_NOTIFICATION_DATA,
	VIRTIO_F_NOTIF_CONFIG_DATA,
	VIRTIO_F_RING_RESET,
	VIRTIO_F_ADMIN_VQ,
	VIRTIO_F_SUSPEND,
} as const;

/** Feature bits are numbered 0..127 (VIRTIO 1.4 2.2): four 32-bit words behind the selector registers. */
export const FEATURE_BITS = 128;

/** Descriptor flags, VIRTIO 1.4 2.7.5. */
export const VIRTQ_DESC_F_NEXT = 1;
export const VIRTQ_DESC_F_WRITE = 2;
export const VIRTQ_DESC_F_INDIRECT = 4;

/** avail.flags, VIRTIO 1.4 2.7.6, and used.flags, 2.7.8. */
export const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;
export const VIRTQ_USED_F_NO_NOTIFY = 1;

/** Largest split virtqueue, VIRTIO 1.4 2.7. */
export const VIRTQ_MAX_SIZE = 32768;

/** Device IDs, VIRTIO 1.4 5. 0 marks an empty slot (4.2.3.1.1). */
export const VIRTIO_ID_NONE = 0;
export const VIRTIO_ID_BALLOON = 5;

/** "virt", little-endian: VIRTIO 1.4 4.2.2.1. */
export const VIRTIO_MMIO_MAGIC = 0x7472_6976;
export const VIRTIO_MMIO_VERSION = 2;

/** InterruptStatus and InterruptACK bits, VIRTIO 1.4 4.2.2. */
export const VIRTIO_MMIO_INT_VRING = 1;
export const VIRTIO_MMIO_INT_CONFIG = 2;

/** How a driver may touch a register. */
export type RegisterAccess = 'R' | 'W' | 'RW';

export interface MmioRegister {
	/** Offset from the base of the slot, bytes. */
	readonly at: number;
	readonly access: RegisterAccess;
}

/**
 * Every control register of virtio-mmio version 2, VIRTIO 1.4 4.2.2, all 32 bits wide and little-endian.
 * (QueueSizeMax and QueueSize were QueueNumMax and QueueNum before 1.2.)
 */
export const MMIO_REGISTERS = {
	MagicValue: {at: 0x000, access: 'R'},
	Version: {at: 0x004, access: 'R'},
	DeviceID: {at: 0x008, access: 'R'},
	VendorID: {at: 0x00c, access: 'R'},
	DeviceFeatures: {at: 0x010, access: 'R'},
	DeviceFeaturesSel: {at: 0x014, access: 'W'},
	DriverFeatures: {at: 0x020, access: 'W'},
	DriverFeaturesSel: {at: 0x024, access: 'W'},
	QueueSel: {at: 0x030, access: 'W'},
	QueueSizeMax: {at: 0x034, access: 'R'},
	QueueSize: {at: 0x038, access: 'W'},
	QueueReady: {at: 0x044, access: 'RW'},
	QueueNotify: {at: 0x050, access: 'W'},
	InterruptStatus: {at: 0x060, access: 'R'},
	InterruptACK: {at: 0x064, access: 'W'},
	Status: {at: 0x070, access: 'RW'},
	QueueDescLow: {at: 0x080, access: 'W'},
	QueueDescHigh: {at: 0x084, access: 'W'},
	QueueDriverLow: {at: 0x090, access: 'W'},
	QueueDriverHigh: {at: 0x094, access: 'W'},
	QueueDeviceLow: {at: 0x0a0, access: 'W'},
	QueueDeviceHigh: {at: 0x0a4, access: 'W'},
	SHMSel: {at: 0x0ac, access: 'W'},
	SHMLenLow: {at: 0x0b0, access: 'R'},
	SHMLenHigh: {at: 0x0b4, access: 'R'},
	SHMBaseLow: {at: 0x0b8, access: 'R'},
	SHMBaseHigh: {at: 0x0bc, access: 'R'},
	QueueReset: {at: 0x0c0, access: 'RW'},
	ConfigGeneration: {at: 0x0fc, access: 'R'},
} as const satisfies Record<string, MmioRegister>;

export type MmioRegisterName = keyof typeof MMIO_REGISTERS;

/** The device type's configuration space begins here, VIRTIO 1.4 4.2.2. */
export const MMIO_CONFIG_AT = 0x100;

const NAME_BY_OFFSET: ReadonlyMap<number, MmioRegisterName> = new Map(
	Object.entries(MMIO_REGISTERS).map(([name, {at}]) => [at, name as MmioRegisterName]),
);

/** The control register at an offset, or undefined where the specification has none. */
export function mmioRegisterAt(offset: number): MmioRegisterName | undefined {
	return NAME_BY_OFFSET.get(offset);
}
