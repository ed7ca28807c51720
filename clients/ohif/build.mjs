/*
 * Builds the script that the server adds to OHIF's configuration:
 *   node build.mjs           writes it into the server's package
 *   node build.mjs --check   tells whether the one that lies there is what the sources build to
 *   node build.mjs --tests   builds all unit tests into build/tests.mjs, so that they take one process
 */
import { readFile, readdir } from 'node:fs/promises';
import { build } from 'esbuild';

const BUILT = new URL('../../lib/activelabel/server/routes/viewer/ohif.js', import.meta.url).pathname;
const HERE = new URL('.', import.meta.url).pathname;
const HEADER = '// Built from clients/ohif by `npm run build`: change the sources there, not this file.';

const panel = {
  absWorkingDir: HERE,
  entryPoints: ['src/index.ts'],
  outfile: BUILT,
  bundle: true,
  format: 'iife',
  target: 'es2022',
  charset: 'utf8',
  banner: { js: HEADER },
  loader: { '.css': 'text' },
};

if (process.argv.includes('--tests')) {
  const tests = (await readdir(`${HERE}tests`, { recursive: true })).filter(name => name.endsWith('.test.ts'));
  await build({
    absWorkingDir: HERE,
    stdin: { contents: tests.map(name => `import './tests/${name}';`).join('\n'), resolveDir: HERE },
    outfile: 'build/tests.mjs',
    bundle: true,
    platform: 'node',
    format: 'esm',
    loader: panel.loader,
  });
} else if (process.argv.includes('--check')) {
  const { outputFiles } = await build({ ...panel, write: false });
  if (outputFiles[0].text !== (await readFile(BUILT, 'utf8').catch(() => ''))) {
    console.error(`${BUILT} is not what the sources build to: run \`npm run build\` in clients/ohif, and commit it`);
    process.exit(1);
  }
} else {
  await build(panel);
}
