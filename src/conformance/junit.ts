/** Results as JUnit XML, which continuous integration reads: one suite per clause chapter. */
import type {CheckResult} from './check.js';

const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

export function escapeXml(text: string): string {
	return text
		.replaceAll(NOT_XML, '?')
		.replaceAll('&', '&amp;')
		.replaceAll('<', '&lt;')
		.replaceAll('>', '&gt;')
		.replaceAll('"', '&quot;')
		.replaceAll('\n', '&#10;');
}

/** A failure for what does not conform, an error for what broke down, skipped for what could not be judged. */
function outcome({verdict, reason = '', seen, error}: CheckResult): string {
	const body = `message="${escapeXml(reason)}">${escapeXml(`seen: ${seen}`)}`;
	if (error !== undefined) {
		return `<error ${body}</error>`;
	}
	switch (verdict) {
		case 'pass':
			return '';
		case 'fail':
			return `<failure ${body}</failure>`;
		case 'not applicable':
		case 'inconclusive':
			return `<skipped message="${escapeXml(`${verdict}: ${reason}`)}"/>`;
	}
}

export function junitXml(target: string, results: readonly CheckResult[]): string {
	const count = (match: (result: CheckResult) => boolean) => results.filter(match).length;
	const broken = count(({error}) => error !== undefined);
	const failures = count(({verdict}) => verdict === 'fail');
	const skipped = count(({verdict}) => verdict === 'not applicable' || verdict === 'inconclusive') - broken;
	const cases = results.map((result) => {
		const name = escapeXml(`${result.id} ${result.text}`);
		const inner = outcome(result);
		const open = `    <testcase classname="VIRTIO 1.4 ${result.clause}" name="${name}"`;
		return inner === '' ? `${open}/>` : `${open}>${inner}</testcase>`;
	});
	const counts = `tests="${results.length}" failures="${failures}" errors="${broken}" skipped="${skipped}"`;
	return [
		'<?xml version="1.0" encoding="UTF-8"?>',
		`<testsuites name="vmsim conformance" ${counts}>`,
		`  <testsuite name="${escapeXml(target)}" ${counts}>`,
		...cases,
		'  </testsuite>',
		'</testsuites>',
		'',
	].join('\n');
}
