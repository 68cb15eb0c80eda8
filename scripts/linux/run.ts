/**
 * Boots the Linux guest on vmsim: `[--touch MiB] [--wait SECONDS]`, and everything else goes to `vmsim run`
 * (`--guest-mem 1G --balloon-size 64M --capture linux.pcapng`). Ends as vmsim does.
 */
import {spawnSync} from 'node:child_process';
import {writeInitramfs} from './initramfs.js';
import {cachedLinux} from './paths.js';
import {vmsimArguments} from './vmsim-command.js';

/** Takes `flag N` out of the arguments. */
function takeNumber(args: string[], flag: string, otherwise: number): number {
	const at = args.indexOf(flag);
	return at < 0 ? otherwise : Number(args.splice(at, 2)[1]);
}

const linux = cachedLinux();
if (linux === undefined) {
	console.error('linux:run: no kernel package yet: npm run linux:fetch');
	process.exitCode = 1;
} else {
	writeInitramfs(linux);
	const args = process.argv.slice(2);
	const touchMib = takeNumber(args, '--touch', 64);
	const waitSeconds = takeNumber(args, '--wait', 5);
	const flags = args.some((arg) => /^(-m|--guest-mem)/.test(arg)) ? args : ['--guest-mem', '512M', ...args];
	const {status} = spawnSync(process.execPath, vmsimArguments({touchMib, waitSeconds}, flags), {
		stdio: 'inherit',
	});
	process.exitCode = status ?? 1;
}
