/** Writes docs/spec-map.md from the tables of the conformance kit. */
import {writeFileSync} from 'node:fs';
import {DEVICE_CHECKS} from '../src/conformance/checks/all.js';
import {REQUIREMENTS} from '../src/conformance/requirements.js';
import {specMap} from '../src/conformance/spec-map.js';

const path = new URL('../../docs/spec-map.md', import.meta.url);
writeFileSync(path, specMap(REQUIREMENTS, DEVICE_CHECKS));
