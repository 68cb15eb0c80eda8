/** Our own balloon as a device under test, with every feature on offer that it has. */
import {NO_TRACE} from '../events.js';
import {VirtioBalloon} from '../virtio/balloon/balloon.js';
import {VirtioMmioTransport} from '../virtio/mmio-transport.js';
import type {DeviceParts, TestedDevice} from './tested-device.js';

/** The host's actions are on the balloon, the registers on its transport: a test may hand in a balloon of its own. */
export function builtinDevice(
	{ram, setInterrupt}: DeviceParts,
	balloon: VirtioBalloon = new VirtioBalloon({
		features: {mustTellHost: true, deflateOnOom: true, freePageHint: true, inOrder: true},
	}),
): TestedDevice {
	const transport = new VirtioMmioTransport({
		slot: 0,
		device: balloon,
		ram,
		setInterrupt,
		defer: (run) => run(),
		trace: NO_TRACE,
	});
	return {
		read: (offset, width) => transport.read(offset, width),
		write: (offset, width, value) => transport.write(offset, width, value),
		setTargetPages: (pages) => balloon.setTargetPages(pages),
		requestStats: () => void balloon.requestStats(),
		stats: () => balloon.stats,
		startHinting: () => void balloon.startHinting(),
		stopHinting: () => balloon.stopHinting(),
		doneHinting: () => balloon.doneHinting(),
	};
}
