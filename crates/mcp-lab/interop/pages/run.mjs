// The pages of a login, and those for operators, in a real Chromium: light and dark, wide and narrow, by
// keyboard and by mouse.
//
// Usage: node run.mjs --chromium FILE --pages FILE --lab FILE --server FILE --screenshots DIRECTORY --document FILE

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { decisions } from './decide.mjs';
import { deeds, logIn, shown, startOperated } from './operate.mjs';
import { faultsOf } from './look.mjs';
import { startSite } from './site.mjs';

const text = { type: 'string' };
const { values: options } = parseArgs({
  options: { chromium: text, pages: text, lab: text, server: text, screenshots: text, document: text },
});
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
  const operated = await startOperated(options);
  try {
    // For another program to judge.
    writeFileSync(options.document, await (await fetch(`${operated.origin}/openapi.json`)).text());
    for (const [name, holds] of deeds) {
      const context = await browser.newContext({ javaScriptEnabled: false });
      const fault = await holds(context, operated).then(() => null, (error) => error.message);
      note(name, fault ? [fault] : []);
      await context.close();
    }
    for (const { colorScheme, width } of WINDOWS) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 720 } });
      for (const { name, path, status, role } of shown) {
        await logIn(context, operated, role);
        const file = join(options.screenshots, `operators-${name}-${colorScheme}-${width}.png`);
        note(`operators: ${name}, ${colorScheme}, ${width} pixels`, await faultsOf(context, `${operated.origin}${path}`, status, file));
      }
      await context.close();
    }
  } finally {
    operated.stop();
  }
} finally {
  await browser.close();
}
console.log(`\n${count.passed} passed, ${count.failed} failed; screenshots: ${options.screenshots}`);
process.exit(count.failed > 0 || count.passed === 0 ? 1 : 0);
