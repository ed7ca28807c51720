import eslint from 'typescript-eslint';

export default eslint.config(
  { ignores: ['build/', 'node_modules/'] },
  {
    files: ['**/*.ts'],
    extends: [eslint.configs.strictTypeChecked, eslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'max-lines': ['error', 300],
      complexity: ['error', 10],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
    },
  },
  {
    // `test` of node:test returns a promise that the runner itself awaits.
    files: ['tests/**'],
    rules: { '@typescript-eslint/no-floating-promises': 'off' },
  }
);
