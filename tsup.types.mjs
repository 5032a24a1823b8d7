// Writes the declarations of the CommonJS build after those of the ES modules. Only the names of files differ, and a second run of
// the compiler takes as long as the first.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

for (const file of readdirSync('dist').filter((name) => name.endsWith('.d.ts'))) {
  const text = readFileSync(`dist/${file}`, 'utf8').replaceAll(/(from '\.\/[^']+)\.js'/g, "$1.cjs'");
  writeFileSync(`dist/${file.replace(/ts$/, 'cts')}`, text);
}
