/**
 * One QMP client, from the greeting on: capabilities negotiation, commands, errors and events (QEMU
 * docs/interop/qmp-spec.txt). Errors have the classes and words of QEMU 7.2 (qapi/qmp-dispatch.c, monitor/qmp.c).
 */
import {NS_PER_S, NS_PER_US} from '../../units.js';
import {MonitorError, type ErrorClass, type Monitored} from '../monitored.js';
import {Arguments, isObject, type JsonObject} from './arguments.js';
import type {QmpCommand} from './commands.js';
import {JsonStream, JsonSyntaxError, writeJson, type Json} from './json.js';

/** Capabilities that QEMU knows; we offer none. */
const KNOWN_CAPABILITIES: readonly Json[] = ['oob'];

export interface SessionParts {
	readonly run: Monitored;
	readonly commands: ReadonlyMap<string, QmpCommand>;
	/** What query-version says. */
	readonly version: Json;
	readonly write: (line: string) => void;
}

export class QmpSession {
	readonly #parts: SessionParts;
	readonly #stream: JsonStream;
	#negotiated = false;
	/** Answers come one at a time, in the order of the commands. */
	#last: Promise<void> = Promise.resolve();

	constructor(parts: SessionParts) {
		this.#parts = parts;
		this.#stream = new JsonStream((value) => {
			this.#last = this.#last.then(() => this.#answer(value));
		});
		this.#send({QMP: {version: parts.version, capabilities: []}});
	}

	/** Takes what the client sent. */
	receive(text: string): void {
		this.#stream.push(text);
	}

	/** Tells the client of something that happened; one that has not negotiated is told nothing. */
	event(event: string, data?: Json): void {
		if (this.#negotiated) {
			const {nowNs} = this.#parts.run.machine.clock;
			const seconds = Math.floor(nowNs / NS_PER_S);
			const microseconds = Math.floor((nowNs - seconds * NS_PER_S) / NS_PER_US);
			this.#send({timestamp: {seconds, microseconds}, event, ...(data === undefined ? {} : {data})});
		}
	}

	async #answer(request: Json | JsonSyntaxError): Promise<void> {
		const withId = !(request instanceof JsonSyntaxError) && isObject(request) && 'id' in request;
		const id: JsonObject = withId ? {id: request['id']!} : {};
		try {
			this.#send({return: await this.#dispatch(request), ...id});
		} catch (error) {
			if (!(error instanceof MonitorError)) {
				throw error;
			}
			this.#send({...id, error: {class: error.errorClass, desc: error.message}});
		}
	}

	#dispatch(request: Json | JsonSyntaxError): Json | Promise<Json> {
		const [name, given] = readRequest(request);
		const args = new Arguments(given);
		if (name === 'qmp_capabilities') {
			return this.#negotiate(args);
		}
		if (!this.#negotiated) {
			throw notFound("Expecting capabilities negotiation with 'qmp_capabilities'");
		}
		const command = this.#parts.commands.get(name);
		if (command === undefined) {
			throw notFound(`The command ${name} has not been found`);
		}
		return command(this.#parts.run, args);
	}

	#negotiate(args: Arguments): Json {
		if (this.#negotiated) {
			throw notFound('Capabilities negotiation is already complete, command ignored');
		}
		const enable = args.optionalArray('enable') ?? [];
		args.done();
		const unknown = enable.find((capability) => !KNOWN_CAPABILITIES.includes(capability));
		if (unknown !== undefined) {
			// QEMU 7.2 has no name for an element of a list either.
			throw new MonitorError(`Parameter 'null' does not accept value '${String(unknown)}'`);
		}
		if (enable.length > 0) {
			throw new MonitorError(`Capability ${enable.join(', ')} not available`);
		}
		this.#negotiated = true;
		return {};
	}

	#send(value: Json): void {
		this.#parts.write(`${writeJson(value)}\r\n`);
	}
}

function notFound(message: string): MonitorError {
	return new MonitorError(message, 'CommandNotFound' satisfies ErrorClass);
}

/** The command's name and arguments. */
function readRequest(request: Json | JsonSyntaxError): [name: string, args: JsonObject] {
	if (request instanceof JsonSyntaxError) {
		throw new MonitorError(request.message);
	}
	if (!isObject(request)) {
		throw new MonitorError('QMP input must be a JSON object');
	}
	const {execute, arguments: args = {}, ...rest} = request;
	const oob = 'exec-oob' in request;
	for (const name of Object.keys(rest)) {
		if (name !== 'id' && name !== 'exec-oob') {
			throw new MonitorError(`QMP input member '${name}' is unexpected`);
		}
	}
	if (execute !== undefined && typeof execute !== 'string') {
		throw new MonitorError("QMP input member 'execute' must be a string");
	}
	if (!isObject(args)) {
		throw new MonitorError("QMP input member 'arguments' must be an object");
	}
	if (oob) {
		throw new MonitorError(
			execute === undefined
				? "QMP input member 'exec-oob' is unexpected"
				: "QMP input members 'execute' and 'exec-oob' clash",
		);
	}
	if (execute === undefined) {
		throw new MonitorError("QMP input lacks member 'execute'");
	}
	return [execute, args];
}
