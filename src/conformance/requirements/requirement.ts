/** One row of docs/spec-map.md: something that VIRTIO 1.4 says of a device or of a driver, and what judges it. */

/** `layout`: not normative, but without it the two sides do not understand each other. `MAY`: a choice, nothing to judge. */
export type RequirementLevel = 'MUST' | 'SHOULD' | 'MAY' | 'layout';

export interface Requirement {
	readonly id: string;
	/** Clause of VIRTIO 1.4. */
	readonly clause: string;
	readonly level: RequirementLevel;
	readonly party: 'device' | 'driver';
	readonly text: string;
	/** Checks of `vmsim conformance`, by id or pattern, where they are not those that begin with the id of the row. */
	readonly checks?: readonly string[];
	/** Rules of `vmsim check`, by id. */
	readonly rules?: readonly string[];
	/** A title in test/conformance/virtio-driver.test.ts or test/guest-kernel/balloon-driver.test.ts begins so. */
	readonly test?: string;
	/** Why nothing judges it. */
	readonly why?: string;
}

export type How = Pick<Requirement, 'checks' | 'rules' | 'test' | 'why'>;

export const LEGACY = 'legacy interface, which is out of scope';
export const NOT_OFFERED = 'a feature that the device does not offer';
