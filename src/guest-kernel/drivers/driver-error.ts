/** Why a driver gives up on a device. Caught by the bus (virtio-bus.ts), which sets FAILED and goes on without it. */

/** Linux's error numbers, by name. */
export type Errno = 'EINVAL' | 'EIO' | 'ENODEV' | 'ENOENT' | 'ENOMEM' | 'ENOSPC' | 'EBUSY';

/** As in /proc and dmesg: "error -28". */
export const ERRNO: Readonly<Record<Errno, number>> = {
	ENOENT: 2,
	EIO: 5,
	ENOMEM: 12,
	EBUSY: 16,
	ENODEV: 19,
	EINVAL: 22,
	ENOSPC: 28,
};

export class DriverError extends Error {
	override name = 'DriverError';
	readonly errno: Errno;

	constructor(errno: Errno, message: string) {
		super(message);
		this.errno = errno;
	}
}
