/**
 * The guest kernel's way to the trace. The driver says that it kicks, or saves the kick; the rings' indices at that moment
 * are added here, because the guest could only read them through its hart, and watching must cost no virtual time.
 */
import type {Trace, VmEvent} from './events.js';
import type {VirtioMmioTransport} from './virtio/mmio-transport.js';

/** A trace for the guest of a machine with this transport. */
export function guestTrace(trace: Trace, transport: VirtioMmioTransport): Trace {
	return {
		get active() {
			return trace.active;
		},
		get pages() {
			return trace.pages;
		},
		emit(event: VmEvent) {
			const ring = event.type === 'driver-kick' ? transport.ringIndices(event.queue) : undefined;
			trace.emit(ring ? ({...event, ring} as VmEvent) : event);
		},
	};
}
