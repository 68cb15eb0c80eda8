/** Writes docs/spec-map.md from the tables of the conformance kit. */
import {writeFileSync} from 'node:fs';
import {DEVICE_CHECKS} from '../src/conformance/checks/all.js';
import {REQUIREMENTS} from '../src/conformance/requirements/all.js';
import {specMap} from '../src/conformance/spec-map.js';
import {MUTANTS} from '../test/conformance/mutants/all.js';

const path = new URL('../../docs/spec-map.md', import.meta.url);
writeFileSync(path, specMap(REQUIREMENTS, DEVICE_CHECKS, MUTANTS.length));
