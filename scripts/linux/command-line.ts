/** The kernel command line of the Linux guest. */

/**
 * Initialisers that need not run and take two thirds of the instructions of a boot: random number health tests,
 * certificates, trace tables, cryptographic self-tests, a speed test of unaligned accesses.
 */
const SKIPPED_INITCALLS = [
	'jent_mod_init',
	'load_system_certificate_list',
	'init_kprobe_trace',
	'bpf_tcp_ca_kfunc_init',
	'bpf_dummy_struct_ops_init',
	'check_unaligned_access_all_cpus',
	'crypto_kdf108_init',
	'init_encrypted',
	'crypto_algapi_init',
];

export interface GuestOptions {
	/** MiB that init touches and frees; 0 for none. */
	readonly touchMib: number;
	/** Seconds that init waits before touching and again after freeing. */
	readonly waitSeconds: number;
}

export function kernelCommandLine({touchMib, waitSeconds}: GuestOptions): string {
	return [
		'console=ttyS0',
		`initcall_blacklist=${SKIPPED_INITCALLS.join(',')}`,
		'cryptomgr.notests',
		`vmsim.touch=${touchMib}`,
		`vmsim.wait=${waitSeconds}`,
	].join(' ');
}
