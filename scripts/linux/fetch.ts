/**
 * Fetches Debian's riscv64 kernel and leaves the Image and the balloon's modules in .cache/linux. The package is
 * downloaded through apt with lists and a cache of its own and unpacked, never installed: the system's own apt state
 * stays as it is. The mirror is the one that this machine's apt uses for Debian, or the argument of --mirror.
 */
import {spawnSync} from 'node:child_process';
import {mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {parseArgs} from 'node:util';
import {VmsimError} from '../../src/errors.js';
import {IMAGE_PATH, LINUX_CACHE, MODULES, PACKAGE_PATH, cachedLinux} from './paths.js';

const SUITE = 'trixie';
const ARCHITECTURE = 'riscv64';
/** Depends on the newest kernel of the suite, whose name changes with every update. */
const META_PACKAGE = 'linux-image-riscv64';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Runs a program to its end and returns its output. Throws LINUX_FETCH with what it complained about. */
function run(program: string, args: readonly string[], cwd?: string): Buffer {
	const result = spawnSync(program, args, {
		...(cwd === undefined ? {} : {cwd}),
		maxBuffer: 256 * 1024 * 1024,
		env: {...process.env, LC_ALL: 'C'},
	});
	if (result.error) {
		throw new VmsimError('LINUX_FETCH', `cannot run ${program}: ${result.error.message}`);
	}
	if (result.status !== 0) {
		throw new VmsimError(
			'LINUX_FETCH',
			`${program} ${args.at(-1)} failed: ${result.stderr.toString().trim()}`,
		);
	}
	return result.stdout;
}

/** The Debian mirror that this machine's apt is configured with. Needs no downloaded lists, which images often lack. */
function systemMirror(): string {
	const uris = run('apt-get', ['--print-uris', '-q', 'update']).toString();
	const mirror = /^'(\S+\/debian)\/dists\/[a-z]+\/InRelease'/m.exec(uris)?.[1];
	if (mirror === undefined) {
		throw new VmsimError(
			'LINUX_FETCH',
			"this machine's apt uses no Debian mirror: name one with --mirror URL",
		);
	}
	return mirror;
}

/** apt's options that give it a world of its own below `folder`. */
function privateApt(folder: string, mirror: string): string[] {
	mkdirSync(`${folder}lists/partial`, {recursive: true});
	mkdirSync(`${folder}cache/archives/partial`, {recursive: true});
	const source = `${folder}sources.list`;
	writeFileSync(source, `deb [arch=${ARCHITECTURE} signed-by=${KEYRING}] ${mirror} ${SUITE} main\n`);
	return Object.entries({
		'APT::Architecture': ARCHITECTURE,
		'APT::Architectures': ARCHITECTURE,
		'Dir::State::Lists': `${folder}lists`,
		'Dir::State::status': '/dev/null',
		'Dir::Cache': `${folder}cache`,
		'Dir::Etc::sourcelist': source,
		'Dir::Etc::sourceparts': '/dev/null',
		'Acquire::Languages': 'none',
		// The downloading user of apt may have no access to the project's folder.
		'APT::Sandbox::User': 'root',
	}).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Puts Image, modules and the package's name into the cache; returns the name. */
function fetchLinux(mirror: string): string {
	const work = `${LINUX_CACHE}work/`;
	rmSync(work, {recursive: true, force: true});
	mkdirSync(work, {recursive: true});
	const apt = privateApt(work, mirror);
	run('apt-get', [...apt, '-q', 'update']);
	const depends = run('apt-cache', [...apt, 'depends', META_PACKAGE]).toString();
	const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
	if (name === undefined) {
		throw new VmsimError('LINUX_FETCH', `${META_PACKAGE} of ${SUITE} depends on no kernel`);
	}
	run('apt-get', [...apt, '-q', 'download', name], work);
	const deb = readdirSync(work).find((file) => file.endsWith('.deb'))!;
	run('dpkg', ['-x', work + deb, `${work}tree`]);

	const release = name.slice('linux-image-'.length);
	const modules = `${work}tree/usr/lib/modules/${release}/kernel/drivers/virtio/`;
	for (const module of MODULES) {
		writeFileSync(LINUX_CACHE + module, run('xz', ['--decompress', '--stdout', `${modules}${module}.xz`]));
	}
	renameSync(`${work}tree/boot/vmlinux-${release}`, IMAGE_PATH);
	writeFileSync(PACKAGE_PATH, `${deb.replace(/\.deb$/, '')}\n`);
	rmSync(work, {recursive: true});
	return readFileSync(PACKAGE_PATH, 'utf8').trim();
}

/** `[--force] [--mirror URL]`. */
function main(args: readonly string[]): void {
	const {values} = parseArgs({
		args: [...args],
		options: {force: {type: 'boolean'}, mirror: {type: 'string'}},
	});
	const cached = cachedLinux();
	if (cached && !values.force) {
		console.log(`${cached.packageName} is in ${LINUX_CACHE} (--force fetches it again)`);
		return;
	}
	const name = fetchLinux(values.mirror ?? systemMirror());
	console.log(`${name} is in ${LINUX_CACHE}`);
}

try {
	main(process.argv.slice(2));
} catch (error) {
	console.error(error instanceof VmsimError ? `linux:fetch: ${error.message}` : error);
	process.exitCode = 1;
}
