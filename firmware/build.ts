/** A step of the build: writes the assembled images next to this file, into dist/firmware. */
import {writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {firmwareImages} from './assemble.js';

for (const [name, bytes] of firmwareImages()) {
	writeFileSync(fileURLToPath(new URL(name, import.meta.url)), bytes);
}
