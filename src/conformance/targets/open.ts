/** The target that a name or a path on the command line means. */
import {pathToFileURL} from 'node:url';
import {UsageError} from '../../errors.js';
import type {ConformanceTarget} from '../target.js';
import {builtinDevice} from '../../kit/builtin-device.js';
import type {DeviceFactory} from '../../kit/tested-device.js';
import {DeviceTarget} from './device-target.js';
import {openQemuTarget} from './qemu.js';

/** Targets by name. A path is a module that exports `createDevice`. */
const NAMED: Readonly<Record<string, () => ConformanceTarget | Promise<ConformanceTarget>>> = {
	builtin: () => new DeviceTarget('builtin', (parts) => builtinDevice(parts)),
	qemu: openQemuTarget,
};

/** Throws UsageError for what is neither a target's name nor a module that exports a device. */
export async function openTarget(text: string): Promise<ConformanceTarget> {
	const named = NAMED[text];
	return named ? named() : new DeviceTarget(text, await loadDevice(text, Object.keys(NAMED)));
}

/** The same for who needs a device of this process: our own, or a module's. */
export async function openDevice(text: string): Promise<DeviceFactory> {
	return text === 'builtin' ? (parts) => builtinDevice(parts) : loadDevice(text, ['builtin']);
}

async function loadDevice(text: string, names: readonly string[]): Promise<DeviceFactory> {
	const known = `known: ${names.join(', ')}, or the path of a module`;
	let module: {createDevice?: unknown};
	try {
		module = (await import(pathToFileURL(text).href)) as {createDevice?: unknown};
	} catch (error) {
		const why = error instanceof Error ? error.message : String(error);
		throw new UsageError(`--target "${text}" cannot be loaded: ${why} (${known})`, {}, error);
	}
	if (typeof module.createDevice !== 'function') {
		throw new UsageError(`--target "${text}" exports no function createDevice (${known})`);
	}
	return module.createDevice as DeviceFactory;
}
