// One page in one window: what is wrong with how it looks, is worked and is read aloud.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** WCAG 2.5.5 asks for a target of this many pixels. */
const TARGET = 44;

/** What Tab must reach. */
const REACHED = 'a[href], button, input:not([type=hidden], [hidden]), select, summary';

/** Opens a page and collects everything the browser says and asks for. */
export async function open(context, url) {
  const page = await context.newPage();
  const seen = { said: [], asked: [] };
  page.on('console', (message) => seen.said.push(message.text()));
  page.on('pageerror', (error) => seen.said.push(error.message));
  page.on('request', (request) => seen.asked.push(request.url()));
  await page.goto(url);
  return { page, seen };
}

/** Every fault of the page, which is also photographed into `file`. */
export async function faultsOf(context, url, status, file) {
  const { page, seen } = await open(context, url);
  await page.screenshot({ path: file, fullPage: true });
  const faults = [];
  if (await overflows(page)) faults.push('it is wider than its window');
  faults.push(...await keyboardFaults(page), ...await targetFaults(page));
  await page.locator('summary').evaluateAll((all) => { for (const one of all) one.parentElement.open = true; });
  if (await overflows(page)) faults.push('its details are wider than its window');
  faults.push(...await axeFaults(page));
  await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
  if (await overflows(page)) faults.push('letters of twice the size are wider than its window');
  // The browser reports the status itself, and nothing else may be said.
  faults.push(...seen.said.filter((line) => !(status >= 400 && line.includes(`status of ${status}`))));
  faults.push(...seen.asked.filter((asked) => asked !== url).map((asked) => `it asks for ${asked}`));
  await page.close();
  return faults;
}

const overflows = (page) => page.evaluate(() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth > clientWidth;
});

/** Tab reaches everything that can be worked, in its order, and shows where it is. */
async function keyboardFaults(page) {
  const faults = [];
  for (const wanted of await page.locator(REACHED).all()) {
    await page.keyboard.press('Tab');
    const { isThere, isShown, name } = await wanted.evaluate((it) => {
      const { outlineStyle, outlineWidth } = getComputedStyle(it);
      return {
        isThere: it === document.activeElement,
        isShown: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
        name: it.innerText || it.name,
      };
    });
    if (!isThere) faults.push(`Tab does not lead to '${name}'`);
    else if (!isShown) faults.push(`it is not seen that Tab is at '${name}'`);
  }
  return faults;
}

async function targetFaults(page) {
  const faults = [];
  for (const target of await page.locator(REACHED).all()) {
    const { width, height } = await target.boundingBox();
    if (width < TARGET || height < TARGET) faults.push(`'${await target.innerText()}' is ${width} × ${height} pixels`);
  }
  return faults;
}

/** What axe finds, also where it only has a doubt about a contrast. */
async function axeFaults(page) {
  await page.evaluate(AXE);
  const { violations, incomplete } = await page.evaluate(() => window.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  }));
  return [...violations, ...incomplete].map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
