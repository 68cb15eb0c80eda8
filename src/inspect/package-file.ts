/** Files of the package that are not code: the dissector, the report's page. */
import {fileURLToPath} from 'node:url';

/** Path of a file of the package, named from its root. This module runs from dist/src/inspect. */
export function packageFile(path: string): string {
	return fileURLToPath(new URL(`../../../${path}`, import.meta.url));
}
