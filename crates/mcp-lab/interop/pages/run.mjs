// The pages of a login in a real Chromium: light and dark, wide and narrow, by keyboard and by mouse.
//
// Usage: node run.mjs --chromium FILE --pages FILE --screenshots DIRECTORY

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { decisions } from './decide.mjs';
import { faultsOf } from './look.mjs';
import { startSite } from './site.mjs';

const text = { type: 'string' };
const { values: options } = parseArgs({ options: { chromium: text, pages: text, screenshots: text } });
const WINDOWS = ['light', 'dark'].flatMap((colorScheme) => [320, 1024].map((width) => ({ colorScheme, width })));

const pages = JSON.parse(execFileSync(options.pages, { encoding: 'utf8' }));
const browser = await chromium.launch({ executablePath: options.chromium });
const count = { passed: 0, failed: 0 };

function note(name, faults) {
  count[faults.length > 0 ? 'failed' : 'passed'] += 1;
  console.log(`${faults.length > 0 ? 'FAILED' : 'passed'}  ${name}`);
  for (const fault of faults) console.log(`        ${fault}`);
}

try {
  const site = await startSite(pages);
  for (const { colorScheme, width } of WINDOWS) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 720 } });
    for (const { name, status } of pages) {
      const file = join(options.screenshots, `${name}-${colorScheme}-${width}.png`);
      note(`${name}, ${colorScheme}, ${width} pixels`, await faultsOf(context, `${site.origin}/${name}`, status, file));
    }
    await context.close();
  }
  site.stop();
  for (const [name, holds] of decisions) {
    const [context, its] = [await browser.newContext(), await startSite(pages)];
    const fault = await holds(context, its).then(() => null, (error) => error.message);
    note(name, fault ? [fault] : []);
    await context.close();
    its.stop();
  }
} finally {
  await browser.close();
}
console.log(`\n${count.passed} passed, ${count.failed} failed; screenshots: ${options.screenshots}`);
process.exit(count.failed > 0 || count.passed === 0 ? 1 : 0);
