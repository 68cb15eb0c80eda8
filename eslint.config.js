import tseslint from 'typescript-eslint';

/**
 * Imports run downwards only (docs/design.md, "Layers"). A block lists what stands above or beside it and may
 * therefore not be imported; `src/machine.ts` is the one file that knows every part.
 */
const layers = [
	{
		files: ['src/units.ts', 'src/address.ts', 'src/errors.ts', 'src/events.ts'],
		forbidden: ['./*/**', './machine.js', './index.js'],
	},
	{
		files: ['src/host/**'],
		forbidden: ['board', 'virtio', 'cpu-lite', 'guest-kernel', 'inspect', 'cli', 'machine.js'],
	},
	{
		files: ['src/board/**'],
		forbidden: ['virtio', 'cpu-lite', 'guest-kernel', 'inspect', 'cli', 'machine.js'],
	},
	{files: ['src/cpu-lite/**'], forbidden: ['virtio', 'guest-kernel', 'inspect', 'cli', 'machine.js']},
	{files: ['src/virtio/**'], forbidden: ['cpu-lite', 'guest-kernel', 'inspect', 'cli', 'machine.js']},
	{
		files: ['src/guest-kernel/**'],
		forbidden: ['host', 'board', 'inspect', 'cli', 'machine.js'],
		// What the guest knows it read from a register, a ring, the device tree or an interrupt: of virtio it may take
		// the public tables only, of cpu-lite only the hart.
		only: {virtio: ['spec.js', 'ring-layout.js', 'balloon/spec.js'], 'cpu-lite': ['hart.js']},
	},
	{
		files: ['src/qemu/**'],
		forbidden: ['guest-kernel', 'inspect', 'kit', 'conformance', 'differential', 'fuzz', 'cli', 'machine.js'],
	},
	{files: ['src/kit/**'], forbidden: ['conformance', 'differential', 'fuzz', 'cli', 'machine.js']},
	{files: ['src/conformance/**', 'src/differential/**', 'src/fuzz/**'], forbidden: ['cli', 'machine.js']},
	{files: ['src/inspect/**'], forbidden: ['guest-kernel', 'cpu-lite', 'host', 'cli', 'machine.js']},
];

function importRule({forbidden, only = {}}) {
	const patterns = forbidden.map((name) => ({
		group: name.startsWith('.') ? [name] : [`**/${name}`, `**/${name}/**`],
		message: 'imports run downwards only',
	}));
	for (const [folder, names] of Object.entries(only)) {
		// As in .gitignore, a file comes back only if its folder does; the folder's other files then go again.
		const inner = names
			.filter((name) => name.includes('/'))
			.map((name) => `**/${folder}/${name.split('/')[0]}`);
		patterns.push({
			group: [
				`**/${folder}/**`,
				...inner.flatMap((path) => [`!${path}`, `${path}/**`]),
				...names.map((name) => `!**/${folder}/${name}`),
			],
			message: `the guest may take only ${names.join(', ')} from ${folder}`,
		});
	}
	return {'no-restricted-imports': ['error', {patterns}]};
}

export default tseslint.config(
	{ignores: ['dist/**', 'coverage/**', 'node_modules/**', '**/*.d.ts']},
	{
		files: ['**/*.ts'],
		extends: [tseslint.configs.base, ...tseslint.configs.recommended],
		languageOptions: {parserOptions: {project: './tsconfig.json'}},
		rules: {
			'@typescript-eslint/no-non-null-assertion': 'off',
			'@typescript-eslint/no-floating-promises': 'error',
			'@typescript-eslint/no-misused-promises': 'error',
			'@typescript-eslint/await-thenable': 'error',
			'@typescript-eslint/switch-exhaustiveness-check': ['error', {considerDefaultExhaustiveForUnions: true}],
			'@typescript-eslint/no-unused-vars': ['error', {argsIgnorePattern: '^_', varsIgnorePattern: '^_'}],
			eqeqeq: 'error',
			'no-console': 'error',
			'prefer-const': 'error',
			'no-var': 'error',
			'require-yield': 'off',
		},
	},
	{files: ['bench/**', 'examples/**', 'scripts/**', 'src/cli/**'], rules: {'no-console': 'off'}},
	...layers.map((layer) => ({files: layer.files, rules: importRule(layer)})),
);
