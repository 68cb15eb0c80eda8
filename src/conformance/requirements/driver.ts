/**
 * What VIRTIO 1.4 demands (MUST) of a device and of a driver, for device status, features, configuration space,
 * virtio-mmio version 2, split virtqueues and the traditional balloon; and how each is judged. A device's demands are
 * judged by the checks of the same id; a driver's by rules of `vmsim check` over the events of a run, by tests of our
 * own driver on a scripted device, or not, and then it says why. docs/spec-map.md is made from this table.
 */

export interface Requirement {
	readonly id: string;
	/** Clause of VIRTIO 1.4. */
	readonly clause: string;
	readonly party: 'device' | 'driver';
	readonly text: string;
	/** Rules of `vmsim check`, by id. */
	readonly rules?: readonly string[];
	/** A title in test/conformance/virtio-driver.test.ts or test/guest-kernel/balloon-driver.test.ts begins so. */
	readonly test?: string;
	/** Why nothing judges it. */
	readonly why?: string;
}

type How = Pick<Requirement, 'rules' | 'test' | 'why'>;

const device = (id: string, clause: string, text: string, why?: string): Requirement => ({
	id,
	clause,
	party: 'device',
	text,
	...(why !== undefined && {why}),
});
const driver = (id: string, clause: string, text: string, how: How): Requirement => ({
	id,
	clause,
	party: 'driver',
	text,
	...how,
});

const LEGACY = 'legacy interface, which is out of scope';
const NOT_OFFERED = 'a feature that the device does not offer';
const NO_BARRIERS = 'one thread runs the guest and the device: there is no order to get wrong';

export const REQUIREMENTS: readonly Requirement[] = [
	driver('STAT-03', '2.1.1', 'sets status bits to show completed steps', {rules: ['status-order']}),
	driver('STAT-04', '2.1.1', 'never clears a status bit', {rules: ['status-bit-cleared']}),
	driver('STAT-05', '2.1.1', 'resets after FAILED', {rules: ['status-after-failed']}),
	device('STAT-07', '2.1.2', 'consumes and notifies nothing before DRIVER_OK'),
	device('STAT-09', '2.1.2', 'notifies DEVICE_NEEDS_RESET as a configuration change'),
	driver('FEAT-02', '2.2.1', 'accepts only what is offered', {rules: ['feature-not-offered']}),
	driver('FEAT-03', '2.2.1', 'ignores bits that it does not know', {test: '2.2.1:'}),
	driver('FEAT-04', '2.2.1', 'sets FAILED and stops where it cannot do without a feature', {
		test: 'without VERSION_1',
	}),
	driver('FEAT-05', '2.2.1', 'does not fail for an unknown bit', {test: '2.2.1:'}),
	device(
		'FEAT-06',
		'2.2.2',
		'offers nothing whose prerequisite it does not offer',
		'no balloon feature has one',
	),
	device('FEAT-07', '2.2.2', 'leaves FEATURES_OK clear for a set that it cannot take'),
	device('FEAT-08', '2.2.2', 'offers nothing that the transport cannot do'),
	driver('FEAT-10', '6.1', 'accepts VERSION_1', {test: '2.2.1:'}),
	device('FEAT-11', '6.2', 'offers VERSION_1'),
	device('FEAT-13', '6.2', 'IN_ORDER: uses buffers in order'),
	driver('FEAT-14', '6.1', 'ORDER_PLATFORM: hardware barriers', {why: NOT_OFFERED}),
	device('FEAT-17', '2.2.3', 'tells a legacy driver by the absence of VERSION_1', LEGACY),
	device('RST-01', '2.4.1', 'status reads 0 after a reset'),
	device('RST-02', '2.4.1', 'is silent after a reset'),
	driver('CFG-02', '2.5.1', 'assumes no atomicity above 32 bits', {rules: ['config-torn']}),
	driver('CFG-03', '2.5.1', 'touches optional fields only if offered', {
		rules: ['config-not-offered'],
		test: '2.5.1:',
	}),
	driver('CFG-04', '2.5.1', 'sets no upper limit to the configuration size', {
		why: 'the MMIO transport tells no size: the driver has nothing to limit',
	}),
	device('CFG-05', '2.5.2', 'fields are readable before FEATURES_OK'),
	driver('INIT-01', '3.1.1', 'initialises in order', {
		rules: ['status-order', 'features-ok-not-verified', 'driver-ok-despite-refusal'],
		test: '2.1.1 and 3.1.1:',
	}),
	driver('INIT-02', '3.1.1', 'does not write configuration before FEATURES_OK', {
		test: '3.1.1: configuration',
	}),
	driver('INIT-03', '3.1.1', 'accepts no features after FEATURES_OK', {rules: ['features-after-ok']}),
	driver('INIT-04', '3.1.1', 'does not go on after a failure', {test: '2.1.1: after FAILED'}),
	driver('INIT-05', '3.1.1', 'kicks nothing before DRIVER_OK', {
		rules: ['notify-before-driver-ok'],
		test: '3.1.1: no notification',
	}),
	device('INIT-06', '3.1.2', 'legacy initialisation', LEGACY),
	driver('CLN-01', '3.3.1', 'leaves exposed ring entries alone', {rules: ['head-in-flight']}),
	driver('CLN-02', '3.3.1', 'resets before it takes its rings back', {test: '3.3.1:'}),
	device('SUS-02', '3.4.2', 'suspend', NOT_OFFERED),
	driver('SUS-01', '3.4.1', 'suspend', {why: NOT_OFFERED}),
	device('VQR-01', '2.6.1.1.1', 'executes nothing after a queue reset'),
	device('VQR-02', '2.6.1.1.1', 'a reset queue has its defaults'),
	device('VQR-04', '2.6.1.2.1', 'honours new parameters of a queue'),
	driver('VQR-03', '2.6.1.1.2', 'verifies a queue reset', {
		why: 'our driver resets the device, never one queue',
	}),
	driver('VQR-05', '2.6.1.2.2', 'configures a queue anew', {
		why: 'our driver resets the device, never one queue',
	}),
	driver('SPLIT-03', '2.7.1', 'aligns the parts of a ring', {test: '2.7.1:'}),
	driver('SPLIT-04', '2.7.2', 'legacy layout', {why: LEGACY}),
	device('SPLIT-05', '2.7.4.1', 'assumes nothing about framing'),
	driver('SPLIT-07', '2.7.4.2', 'readable before writable buffers', {rules: ['readable-after-writable']}),
	device('SPLIT-10', '2.7.5.1', 'never writes a readable buffer'),
	device('SPLIT-12', '2.7.5.1', 'never writes a descriptor'),
	driver('SPLIT-13', '2.7.5.2', 'no loops, no more than 2^32 bytes', {
		rules: ['chain-loop', 'chain-too-large'],
	}),
	driver('SPLIT-14', '2.7.5.2', 'IN_ORDER: sequential descriptors', {
		why: 'our driver does not accept IN_ORDER',
	}),
	driver('SPLIT-15', '2.7.5.3.1', 'INDIRECT only if negotiated', {rules: ['indirect-not-negotiated']}),
	driver('SPLIT-16', '2.7.5.3.1', 'no table in a table', {rules: ['indirect-nested']}),
	driver('SPLIT-17', '2.7.5.3.1', 'no chain beyond Queue Size', {rules: ['chain-too-long']}),
	driver('SPLIT-18', '2.7.5.3.1', 'INDIRECT never with NEXT', {rules: ['indirect-with-next']}),
	driver('SPLIT-19', '2.7.5.3.1', 'IN_ORDER: sequential tables', {
		why: 'our driver does not accept IN_ORDER',
	}),
	device('SPLIT-20', '2.7.5.3.2', 'ignores WRITE beside INDIRECT'),
	device('SPLIT-21', '2.7.5.3.2', 'takes a table behind ordinary descriptors'),
	driver('SPLIT-24', '2.7.6.1', 'avail idx never goes back', {rules: ['avail-index-jump']}),
	driver('SPLIT-25', '2.7.7.1', 'avail.flags is 0 or 1', {test: '2.7.7.1: with EVENT_IDX'}),
	driver('SPLIT-26', '2.7.7.1', 'EVENT_IDX: avail.flags is 0', {rules: ['avail-flags-with-event-idx']}),
	driver('SPLIT-27', '2.7.7.1', 'copes with spurious interrupts', {test: '2.7.7.1: spurious'}),
	device('SPLIT-28', '2.7.7.2', 'notifies by avail.flags'),
	device('SPLIT-29', '2.7.7.2', 'notifies by used_event'),
	device('SPLIT-31', '2.7.8.2', 'writes the element before the index'),
	device('SPLIT-32', '2.7.8.2', 'the used length is true'),
	driver('SPLIT-33', '2.7.8.3', 'trusts only the used length', {why: 'no queue of a balloon returns data'}),
	driver('SPLIT-35', '2.7.10.1', 'initialises used.flags to 0', {test: '2.7.10.1:'}),
	driver('SPLIT-36', '2.7.10.1', 'kicks by used.flags', {rules: ['missing-kick'], test: '2.7.10.1:'}),
	driver('SPLIT-37', '2.7.10.1', 'kicks by avail_event', {rules: ['missing-kick']}),
	device('SPLIT-38', '2.7.10.2', 'used.flags is 0 or 1'),
	device('SPLIT-39', '2.7.10.2', 'EVENT_IDX: used.flags is 0'),
	device('SPLIT-40', '2.7.10.2', 'copes with spurious kicks'),
	driver('SPLIT-42', '2.7.13.3.1', 'barrier before the index', {why: NO_BARRIERS}),
	driver('SPLIT-43', '2.7.13.4.1', 'barrier before reading flags', {why: NO_BARRIERS}),
	device('SHM-01', '2.10.2', 'shared memory carries no streams', 'a balloon has no shared memory'),
	device('MMIO-01', '4.2.2.1', 'magic value'),
	device('MMIO-02', '4.2.2.1', 'version 2'),
	device('MMIO-03', '4.2.2.1', 'interrupt bits from their event to their acknowledgement'),
	device('MMIO-04', '4.2.2.1', 'reset clears InterruptStatus and QueueReady'),
	device('MMIO-05', '4.2.2.1', 'ConfigGeneration changes'),
	device('MMIO-06', '4.2.2.1', 'no access while QueueReady is 0'),
	device('MMIO-07', '4.2.2.1', 'QueueReset'),
	driver('MMIO-08', '4.2.2.2', 'uses registers as they are', {
		rules: ['register-unknown', 'register-direction'],
	}),
	driver('MMIO-09', '4.2.2.2', 'uses their widths', {
		rules: ['register-width'],
		test: '4.2.2.2: every access',
	}),
	driver('MMIO-10', '4.2.2.2', 'ignores a device with another magic', {test: 'a slot with a wrong magic'}),
	driver('MMIO-11', '4.2.2.2', 'ignores a device of another version', {test: 'a slot with a wrong magic'}),
	driver('MMIO-12', '4.2.2.2', 'ignores an empty slot', {test: '4.2.3.1.1:'}),
	driver('MMIO-13', '4.2.2.2', 'writes a selector before it uses the word behind it', {
		test: 'the probe makes the recorded',
	}),
	driver('MMIO-14', '4.2.2.2', 'QueueSize is at most QueueSizeMax', {rules: ['queue-size']}),
	driver('MMIO-15', '4.2.2.2', 'leaves a ready queue alone', {rules: ['queue-changed-while-ready']}),
	driver('MMIO-16', '4.2.2.2', 'stops a queue by QueueReady 0', {
		why: 'our driver resets the device, never one queue',
	}),
	driver('MMIO-17', '4.2.2.2', 'acknowledges what is defined', {test: '4.2.2.2: only defined'}),
	driver('MMIO-18', '4.2.2.2', 'waits for QueueReset', {
		why: 'our driver resets the device, never one queue',
	}),
	driver('MMIO-19', '4.2.3.1.1', 'begins with magic, version and id', {test: '4.2.3.1.1:'}),
	driver('MMIO-20', '4.2.3.1.1', 'leaves shared memory registers alone', {
		test: 'the probe makes the recorded',
	}),
	driver('MMIO-23', '4.2.3.4.1', 'reads InterruptStatus and acknowledges it', {
		test: 'a prompt device costs',
	}),
	driver('BAL-03', '5.5.3.1', 'reports only with PAGE_POISON where pages keep an initial value', {
		test: 'page poison: declined',
	}),
	driver('BAL-12', '5.5.6.1', 'stays at its target without DEFLATE_ON_OOM', {test: '5.5.6.1: without'}),
	driver('BAL-14', '5.5.6.1', 'announces the pages that it wants back', {test: 'deflating tells the host'}),
	driver('BAL-15', '5.5.6.1', 'MUST_TELL_HOST: waits for the answer', {test: '5.5.6.1 and 5.5.6.7.1:'}),
	driver('BAL-17', '5.5.6.1', 'uses no page in flight', {test: '5.5.6.1 and 5.5.6.7.1:'}),
	driver('BAL-18', '5.5.6.1', 'deflates what was acknowledged', {rules: ['deflate-before-inflate-ack']}),
	driver('BAL-19', '5.5.6.1', 'updates actual', {test: 'inflating sends 256'}),
	driver('BAL-30', '5.5.6.3.1', 'one statistics buffer at a time', {rules: ['stats-two-buffers']}),
	driver('BAL-31', '5.5.6.3.1', 'offers a new statistics buffer after each answer', {
		test: 'the statistics buffer',
	}),
	driver('BAL-32', '5.5.6.3.1', 'has an entry for each statistic that it supports', {
		test: 'the statistics buffer',
	}),
	driver('BAL-33', '5.5.6.3.1', 'whole entries', {rules: ['stats-length']}),
	driver('BAL-35', '5.5.6.3.1', 'the same tags each time', {test: '5.5.6.3.1:'}),
	device('BAL-36', '5.5.6.3.2', 'ignores unknown tags'),
	device('BAL-37', '5.5.6.3.2', 'accepts any order'),
	driver('BAL-41', '5.5.6.5.1', 'commands of four bytes', {rules: ['hint-command-length']}),
	driver('BAL-42', '5.5.6.5.1', 'a round begins with its id', {test: '5.5.6.5.1:'}),
	driver('BAL-44', '5.5.6.5.1', 'a round ends with STOP', {test: '5.5.6.5.1:'}),
	driver('BAL-46', '5.5.6.5.1', 'takes hinted pages for uninitialised', {
		why: 'the guest kernel treats every free page so: nothing of it is on the wire',
	}),
	device('BAL-49', '5.5.6.5.2', 'does not use an id again'),
	device('BAL-50', '5.5.6.5.2', 'ignores pages of another id'),
	device('BAL-52', '5.5.6.5.2', 'changes nothing after DONE'),
	device('BAL-53', '5.5.6.5.2', 'says DONE'),
	driver('BAL-60', '5.5.6.6.1', 'poison_val before DRIVER_OK', {rules: ['poison-after-driver-ok']}),
	driver('BAL-70', '5.5.6.7.1', 'takes reported pages for uninitialised, or poisons them first', {
		why: 'the contents of free pages are the business of the guest kernel: nothing of it is on the wire',
	}),
	driver('BAL-71', '5.5.6.7.1', 'uses no page that is being reported', {rules: ['page-used-before-ack']}),
	device('BAL-75', '5.5.6.7.2', 'changes reported pages to poison_val only'),
];
