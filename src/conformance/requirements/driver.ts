/**
 * What VIRTIO 1.4 says of a driver, in the same fields: judged by rules of `vmsim check` over the events of a run, by tests
 * of our own driver on a scripted device, or not, and then it says why.
 */
import {LEGACY, NOT_OFFERED, type How, type Requirement, type RequirementLevel} from './requirement.js';

const of =
	(level: RequirementLevel) =>
	(id: string, clause: string, text: string, how: How): Requirement => ({
		id,
		clause,
		level,
		party: 'driver',
		text,
		...how,
	});
const must = of('MUST');
const should = of('SHOULD');
const layout = of('layout');
const may = of('MAY');

const NO_BARRIERS = 'one thread runs the guest and the device: there is no order to get wrong';
const CHOICE = 'a choice of the driver: no rule objects to either';

export const DRIVER_REQUIREMENTS: readonly Requirement[] = [
	must('STAT-03', '2.1.1', 'sets status bits to show completed steps', {rules: ['status-order']}),
	must('STAT-04', '2.1.1', 'never clears a status bit', {rules: ['status-bit-cleared']}),
	must('STAT-05', '2.1.1', 'resets after FAILED', {rules: ['status-after-failed']}),
	must('FEAT-02', '2.2.1', 'accepts only what is offered', {rules: ['feature-not-offered']}),
	must('FEAT-03', '2.2.1', 'ignores bits that it does not know', {test: '2.2.1:'}),
	must('FEAT-04', '2.2.1', 'sets FAILED and stops where it cannot do without a feature', {
		test: 'without VERSION_1',
	}),
	must('FEAT-05', '2.2.1', 'does not fail for an unknown bit', {test: '2.2.1:'}),
	must('FEAT-10', '6.1', 'accepts VERSION_1', {test: '2.2.1:'}),
	must('FEAT-14', '6.1', 'ORDER_PLATFORM: hardware barriers', {why: NOT_OFFERED}),
	must('CFG-02', '2.5.1', 'assumes no atomicity above 32 bits', {rules: ['config-torn']}),
	must('CFG-03', '2.5.1', 'touches optional fields only if offered', {
		rules: ['config-not-offered'],
		test: '2.5.1:',
	}),
	must('CFG-04', '2.5.1', 'sets no upper limit to the configuration size', {
		why: 'the MMIO transport tells no size: the driver has nothing to limit',
	}),
	must('INIT-01', '3.1.1', 'initialises in order', {
		rules: ['status-order', 'features-ok-not-verified', 'driver-ok-despite-refusal'],
		test: '2.1.1 and 3.1.1:',
	}),
	must('INIT-02', '3.1.1', 'does not write configuration before FEATURES_OK', {
		test: '3.1.1: configuration',
	}),
	must('INIT-03', '3.1.1', 'accepts no features after FEATURES_OK', {rules: ['features-after-ok']}),
	must('INIT-04', '3.1.1', 'does not go on after a failure', {test: '2.1.1: after FAILED'}),
	must('INIT-05', '3.1.1', 'kicks nothing before DRIVER_OK', {
		rules: ['notify-before-driver-ok'],
		test: '3.1.1: no notification',
	}),
	must('CLN-01', '3.3.1', 'leaves exposed ring entries alone', {
		rules: ['head-in-flight'],
		test: '3.3.1 and 2.7.6:',
	}),
	must('CLN-02', '3.3.1', 'resets before it takes its rings back', {test: '3.3.1:'}),
	must('SUS-01', '3.4.1', 'suspend', {why: NOT_OFFERED}),
	must('VQR-03', '2.6.1.1.2', 'verifies a queue reset', {rules: ['queue-reset-not-verified']}),
	must('VQR-05', '2.6.1.2.2', 'configures a queue anew', {rules: ['queue-ready-unconfigured']}),
	must('SPLIT-03', '2.7.1', 'aligns the parts of a ring', {test: '2.7.1:'}),
	must('SPLIT-04', '2.7.2', 'legacy layout', {why: LEGACY}),
	must('SPLIT-07', '2.7.4.2', 'readable before writable buffers', {
		rules: ['readable-after-writable'],
		test: '2.7.4.2, 2.7.5.2 and 2.7.5.3:',
	}),
	must('SPLIT-13', '2.7.5.2', 'no loops, no more than 2^32 bytes', {
		rules: ['chain-loop', 'chain-too-large'],
	}),
	must('SPLIT-14', '2.7.5.2', 'IN_ORDER: sequential descriptors', {
		why: 'our driver does not accept IN_ORDER',
	}),
	must('SPLIT-15', '2.7.5.3.1', 'INDIRECT only if negotiated', {rules: ['indirect-not-negotiated']}),
	must('SPLIT-16', '2.7.5.3.1', 'no table in a table', {rules: ['indirect-nested']}),
	must('SPLIT-17', '2.7.5.3.1', 'no chain beyond Queue Size', {rules: ['chain-too-long']}),
	must('SPLIT-18', '2.7.5.3.1', 'INDIRECT never with NEXT', {rules: ['indirect-with-next']}),
	must('SPLIT-19', '2.7.5.3.1', 'IN_ORDER: sequential tables', {
		why: 'our driver does not accept IN_ORDER',
	}),
	must('SPLIT-24', '2.7.6.1', 'avail idx never goes back', {rules: ['avail-index-jump']}),
	must('SPLIT-25', '2.7.7.1', 'avail.flags is 0 or 1', {test: '2.7.7.1: with EVENT_IDX'}),
	must('SPLIT-26', '2.7.7.1', 'EVENT_IDX: avail.flags is 0', {rules: ['avail-flags-with-event-idx']}),
	must('SPLIT-27', '2.7.7.1', 'copes with spurious interrupts', {test: '2.7.7.1: spurious'}),
	must('SPLIT-33', '2.7.8.3', 'trusts only the used length', {test: 'a used length beyond'}),
	must('SPLIT-35', '2.7.10.1', 'initialises used.flags to 0', {test: '2.7.10.1:'}),
	must('SPLIT-36', '2.7.10.1', 'kicks by used.flags', {rules: ['missing-kick'], test: '2.7.10.1:'}),
	must('SPLIT-37', '2.7.10.1', 'kicks by avail_event', {rules: ['missing-kick']}),
	must('SPLIT-42', '2.7.13.3.1', 'barrier before the index', {why: NO_BARRIERS}),
	must('SPLIT-43', '2.7.13.4.1', 'barrier before reading flags', {why: NO_BARRIERS}),
	must('MMIO-08', '4.2.2.2', 'uses registers as they are', {
		rules: ['register-unknown', 'register-direction'],
	}),
	must('MMIO-09', '4.2.2.2', 'uses their widths', {
		rules: ['register-width'],
		test: '4.2.2.2: every access',
	}),
	must('MMIO-10', '4.2.2.2', 'ignores a device with another magic', {test: 'a slot with a wrong magic'}),
	must('MMIO-11', '4.2.2.2', 'ignores a device of another version', {test: 'a slot with a wrong magic'}),
	must('MMIO-12', '4.2.2.2', 'ignores an empty slot', {test: '4.2.3.1.1:'}),
	must('MMIO-13', '4.2.2.2', 'writes a selector before it uses the word behind it', {
		test: 'the probe makes the recorded',
	}),
	must('MMIO-14', '4.2.2.2', 'QueueSize is at most QueueSizeMax', {rules: ['queue-size']}),
	must('MMIO-15', '4.2.2.2', 'leaves a ready queue alone', {rules: ['queue-changed-while-ready']}),
	must('MMIO-16', '4.2.2.2', 'stops a queue by QueueReady 0', {rules: ['queue-stop-not-verified']}),
	must('MMIO-17', '4.2.2.2', 'acknowledges what is defined', {test: '4.2.2.2: only defined'}),
	must('MMIO-18', '4.2.2.2', 'waits for QueueReset', {rules: ['queue-reset-not-verified']}),
	must('MMIO-19', '4.2.3.1.1', 'begins with magic, version and id', {test: '4.2.3.1.1:'}),
	must('MMIO-20', '4.2.3.1.1', 'leaves shared memory registers alone', {
		test: 'the probe makes the recorded',
	}),
	must('MMIO-23', '4.2.3.4.1', 'reads InterruptStatus and acknowledges it', {
		test: 'a prompt device costs',
	}),
	must('BAL-03', '5.5.3.1', 'reports only with PAGE_POISON where pages keep an initial value', {
		test: 'page poison: declined',
	}),
	must('BAL-12', '5.5.6.1', 'stays at its target without DEFLATE_ON_OOM', {test: '5.5.6.1: without'}),
	must('BAL-14', '5.5.6.1', 'announces the pages that it wants back', {test: 'deflating tells the host'}),
	must('BAL-15', '5.5.6.1', 'MUST_TELL_HOST: waits for the answer', {test: '5.5.6.1 and 5.5.6.7.1:'}),
	must('BAL-17', '5.5.6.1', 'uses no page in flight', {test: '5.5.6.1 and 5.5.6.7.1:'}),
	must('BAL-18', '5.5.6.1', 'deflates what was acknowledged', {rules: ['deflate-before-inflate-ack']}),
	must('BAL-19', '5.5.6.1', 'updates actual', {test: 'inflating sends 256'}),
	must('BAL-30', '5.5.6.3.1', 'one statistics buffer at a time', {rules: ['stats-two-buffers']}),
	must('BAL-31', '5.5.6.3.1', 'offers a new statistics buffer after each answer', {
		test: 'the statistics buffer',
	}),
	must('BAL-32', '5.5.6.3.1', 'has an entry for each statistic that it supports', {
		test: 'the statistics buffer',
	}),
	must('BAL-33', '5.5.6.3.1', 'whole entries', {rules: ['stats-length']}),
	must('BAL-35', '5.5.6.3.1', 'the same tags each time', {test: '5.5.6.3.1:'}),
	must('BAL-41', '5.5.6.5.1', 'commands of four bytes', {rules: ['hint-command-length']}),
	must('BAL-42', '5.5.6.5.1', 'a round begins with its id', {test: '5.5.6.5.1:'}),
	must('BAL-44', '5.5.6.5.1', 'a round ends with STOP', {test: '5.5.6.5.1:'}),
	must('BAL-46', '5.5.6.5.1', 'takes hinted pages for uninitialised', {test: '5.5.6.5.1 and 5.5.6.7.1:'}),
	must('BAL-60', '5.5.6.6.1', 'poison_val before DRIVER_OK', {rules: ['poison-after-driver-ok']}),
	must('BAL-70', '5.5.6.7.1', 'takes reported pages for uninitialised, or poisons them first', {
		test: '5.5.6.5.1 and 5.5.6.7.1:',
	}),
	must('BAL-71', '5.5.6.7.1', 'uses no page that is being reported', {rules: ['page-used-before-ack']}),
	must('BAL-22', '5.5.6.2.1', 'writes actual as one word, ignores the used length', {why: LEGACY}),
	should('STAT-06', '2.1.1', 'does not wait for a device that needs a reset', {
		test: 'a device that asks for a reset',
	}),
	should('FEAT-12', '6.1', 'accepts ACCESS_PLATFORM', {why: NOT_OFFERED}),
	should('FEAT-15', '6.1', 'accepts RING_PACKED and NOTIF_CONFIG_DATA', {
		why: 'packed rings are out of scope, and MMIO has no use for the other',
	}),
	should('RST-03', '2.4.2', 'takes a reset for done when Status reads 0', {
		test: 'the probe makes the recorded',
	}),
	should('SPLIT-08', '2.7.4.2', 'keeps chains short', {test: '2.7.4.2, 2.7.5.2 and 2.7.5.3:'}),
	should('BAL-01', '5.5.3.1', 'accepts MUST_TELL_HOST', {test: '5.5.3.1:'}),
	should('BAL-02', '5.5.3.1', 'declines PAGE_POISON unless it will write poison_val', {
		test: 'page poison: declined',
	}),
	should('BAL-10', '5.5.6.1', 'supplies pages up to num_pages', {test: 'inflating sends 256'}),
	should('BAL-43', '5.5.6.5.1', 'supplies hints while the id is 2 or more', {
		test: 'a new command id in the middle',
	}),
	should('BAL-47', '5.5.6.5.1', 'takes hinted pages back after DONE', {test: 'hinting sends the command id'}),
	should('BAL-73', '5.5.6.7.1', 'reports large pages, and touches them little', {
		why: 'what is large is the business of the reporting design: docs/reporting.md measures it',
	}),
	layout('SPLIT-44', '2.7.13', 'fills the ring, then moves the index, then notifies', {test: '2.7.10.1:'}),
	layout('SPLIT-45', '2.7.14', 'looks at the used ring again after it asked for interrupts', {
		test: 'enableCallback says',
	}),
	layout('NOTE-01', '2.9', 'notifies with the queue number, and the index where agreed', {
		rules: ['notify-unknown-queue'],
		test: '2.9 and 4.2.3.3:',
	}),
	layout('MMIO-21', '4.2.3.2', 'sets a queue up in order', {
		rules: ['queue-ready-unconfigured'],
		test: 'the probe makes the recorded',
	}),
	layout('BAL-06', '5.5.5', 'initialises statistics and poison_val before it reports', {
		test: 'the probe makes the recorded',
	}),
	layout('BAL-07', '5.5.6', 'sends frame numbers of 4096 bytes', {test: 'inflating sends 256'}),
	may('BAL-11', '5.5.6.1', 'uses or supplies pages beyond what it must', {why: CHOICE}),
	may('BAL-13', '5.5.6.1', 'DEFLATE_ON_OOM: deflates below its target', {test: 'the OOM notifier takes 256'}),
	may('BAL-16', '5.5.6.1', 'without MUST_TELL_HOST uses pages before the answer', {why: CHOICE}),
	may('BAL-34', '5.5.6.3.1', 'sends statistics in any order, and some of them', {why: CHOICE}),
	may('BAL-45', '5.5.6.5.1', 'takes hinted pages back early', {test: 'hinting sends the command id'}),
	may('BAL-72', '5.5.6.7.1', 'reports at any time after DRIVER_OK', {why: CHOICE}),
];
