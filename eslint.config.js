import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

// Biome does the rest. These two need type information that it does not have.
export default defineConfig({
  files: ['src/**/*.ts', 'test/**/*.ts', 'examples/**/*.ts', 'bench/*.ts'],
  languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
  plugins: { '@typescript-eslint': tseslint.plugin },
  rules: {
    '@typescript-eslint/no-floating-promises': 'error',
    '@typescript-eslint/no-misused-promises': 'error',
  },
});
