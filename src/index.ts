/** The library's face: what a test suite or a tool may import from 'vmsim'. */

// The ground floor.
export * from './units.js';
export * from './address.js';
export * from './errors.js';
export * from './events.js';

// Whole runs: a machine, a guest and a workload.
export * from './config.js';
export {Machine, BALLOON_SLOT, type LoadedBytes, type MachineConnections} from './machine.js';
export {Simulation, type RunHooks, type SimulationPlan} from './simulation.js';
export {ProgramGuest, type ProgramEnd, type ProgramFiles} from './program-guest.js';
export {ProgramRun, type ProgramRunHooks} from './program-run.js';
export {
	QemuRun,
	type QemuMemory,
	type QemuRunHooks,
	type QemuRunPlan,
	type QemuRunResult,
} from './qemu-run.js';
export {prepareReplay, type PreparedReplay, type ReplayFiles} from './replay-setup.js';
export type * from './run-result.js';

// The host.
export {HostMemory, type HostMemoryOptions} from './host/frames.js';
export {GuestMemory, type GuestMemoryCounters, type GuestMemoryOptions} from './host/guest-memory.js';
export {openReclaim, type HostReclaim, type ReclaimKind} from './host/reclaim.js';
export type {DiscardResult, GuestRam} from './host/ram.js';

// The board.
export * from './board/memory-map.js';
export {Bus, type AccessWidth, type BusRegion, type MmioDevice} from './board/bus.js';
export {Clock, type ClockEvent} from './board/clock.js';
export {buildDeviceTree, type DeviceTreeOptions} from './board/device-tree.js';

// The hart.
export {GuestTrap, type Hart, type ResetType} from './cpu-lite/hart.js';
export {RvHart, type HartExit, type RunLimits, type RvHartParts} from './cpu-lite/rv-hart.js';
export {SupervisorHart, type BootArguments} from './cpu-lite/supervisor-hart.js';
export {assemble} from './cpu-lite/assembler/assemble.js';
export {disassemble} from './cpu-lite/disassembler.js';

// Virtio: the specification's tables, rings, transport and balloon.
export * from './virtio/spec.js';
export * from './virtio/ring-layout.js';
export * from './virtio/balloon/spec.js';
export {SplitVirtqueue, type SplitVirtqueueOptions} from './virtio/split-virtqueue.js';
export type {ConfigWidth, DeviceLink, VirtioDevice} from './virtio/device.js';
export {FeatureSet} from './virtio/features.js';
export {VirtioMmioTransport, type VirtioMmioTransportOptions} from './virtio/mmio-transport.js';
export {VirtioBalloon, type BalloonOptions} from './virtio/balloon/balloon.js';

// The guest kernel.
export {GuestKernel} from './guest-kernel/kernel.js';
export type {GuestKernelOptions, GuestKernelParts, GuestKernelStats} from './guest-kernel/kernel-options.js';
export {Memory, type MemoryOptions} from './guest-kernel/mm/memory.js';
export {checkZones} from './guest-kernel/mm/check.js';
export type {PageReporting, ReportingAudit, ReportingDevice} from './guest-kernel/reporting/reporting.js';
export {
	DESIGN_NAMES,
	readDesign,
	reportingDesign,
	type DesignSpec,
	type ReportingDesign,
	type ReportingOptions,
} from './guest-kernel/reporting/registry.js';
export {Lockdep, type LockReport} from './guest-kernel/lockdep.js';
export type {Workload, WorkloadContext, WorkloadProgress} from './guest-kernel/workload/workload.js';

// Scenarios: designs of free page reporting against each other.
export {
	reportingBench,
	type BenchOptions,
	type ReportCall,
	type ReportingBench,
} from './scenario/reporting-bench.js';
export {twoZones, type TwoZonesOptions, type TwoZonesResult} from './scenario/two-zones.js';

// Captures: written, read, asked, checked and drawn.
export {Capture, type CaptureOptions} from './inspect/capture.js';
export {PcapngReader, CaptureFormatError, type PacketHandler} from './inspect/pcapng-reader.js';
export type {ByteSink} from './inspect/pcapng-writer.js';
export type {Packet} from './inspect/packet.js';
export {PacketSource, type PacketSourceOptions} from './inspect/packet-source.js';
export {decodeEvent} from './inspect/decode.js';
export {describeEvent} from './inspect/describe.js';
export {compileFilter, type Filter} from './inspect/filter/compile.js';
export {CaptureStats, QueueStats} from './inspect/stats.js';
export {RingTracker, RingState} from './inspect/rings.js';
export {ProtocolChecker, allRules} from './inspect/check/checker.js';
export type {Rule, Violation} from './inspect/check/rule.js';
export {watchLive} from './inspect/views/live.js';

// The test kit: a scripted driver and device, captures played again, and the conformance checks (docs/kit.md).
export {
	ScriptedDriver,
	featureBits,
	readable,
	writable,
	type Buffer as RingBuffer,
	type QueuePlace,
	type ScriptedQueue,
	type UsedElement,
} from './kit/scripted-driver.js';
export {
	ScriptedDevice,
	type Access,
	type ChainAnswer,
	type ScriptedBuffer,
	type ScriptedChain,
	type ScriptedDeviceOptions,
} from './kit/scripted-device.js';
export {DeviceTap, type DeviceTapOptions} from './kit/device-tap.js';
export {readTraffic, TrafficReader, type CapturedTraffic} from './kit/captured-traffic.js';
export {replayCapture, type NotPlayed, type ReplayOptions, type ReplayResult} from './kit/capture-replay.js';
export type {Divergence, Evidence} from './kit/replay-comparison.js';
export type {
	DeviceFactory,
	DeviceParts,
	HostActions,
	MemoryAccess,
	TestedDevice,
} from './kit/tested-device.js';
export {builtinDevice} from './kit/builtin-device.js';
export type {ConformanceTarget, TargetDevice} from './conformance/target.js';
export {DeviceTarget} from './conformance/targets/device-target.js';
export type {Check, CheckResult, Verdict} from './conformance/check.js';
export {DEVICE_CHECKS} from './conformance/checks/all.js';
export {runChecks, selectChecks} from './conformance/runner.js';
