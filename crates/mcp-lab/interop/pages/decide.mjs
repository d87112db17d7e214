// A person decides, with the keyboard alone and with the mouse, and the redirects that follow lead to the
// client: through a provider that logs its users in elsewhere, and back.

import { open } from './look.mjs';

const REQUEST = 'sealed-request_0123456789';
const BLOCKED = 'form-action';

/** Each case: its name, and what throws where it does not hold. */
export const decisions = [
  ['Allow by keyboard leads through the provider to a loopback address', async (context, site) => {
    const seen = await decide(context, site, `${site.client}/cb?code=1`, (page) => press(page, 'Allow'));
    await until(() => site.reached.includes('/cb?code=1'), seen);
    expect(site.decisions, [{ origin: site.origin, request: REQUEST, decision: 'allow' }]);
    expect(blocked(seen), []);
  }],
  ['Cancel by mouse leads to the client at once', async (context, site) => {
    const cancel = (page) => page.getByRole('button', { name: 'Cancel' }).click();
    const seen = await decide(context, site, `${site.client}/cb?error=access_denied`, cancel);
    await until(() => site.reached.includes('/cb?error=access_denied'), seen);
    expect(site.decisions, [{ origin: site.origin, request: REQUEST, decision: 'deny' }]);
    expect(blocked(seen), []);
  }],
  ['Allow leads through the provider to a scheme of the client', async (context, site) => {
    const seen = await decide(context, site, 'x-client://cb?code=1', (page) => press(page, 'Allow'));
    await until(() => seen.asked.includes('x-client://cb?code=1'), seen);
    expect(blocked(seen), []);
  }],
  ['Cancel leads to a scheme of the client', async (context, site) => {
    const seen = await decide(context, site, 'x-client://cb?error=access_denied', (page) => press(page, 'Cancel'));
    await until(() => seen.asked.includes('x-client://cb?error=access_denied'), seen);
    expect(blocked(seen), []);
  }],
  ['Allow takes no click that comes as soon as the page', async (context, site) => {
    const seen = await decide(context, site, `${site.client}/cb?error=access_denied`, async (page) => {
      const { x, y, width, height } = await page.getByRole('button', { name: 'Allow' }).boundingBox();
      await page.mouse.click(x + width / 2, y + height / 2);
      await page.getByRole('button', { name: 'Cancel' }).click();
    });
    await until(() => site.reached.length > 0, seen);
    expect(site.decisions.map(({ decision }) => decision), ['deny']);
  }],
  ['Allow takes one that comes later', async (context, site) => {
    const allow = (page) => page.getByRole('button', { name: 'Allow' }).click();
    const seen = await decide(context, site, `${site.client}/cb?code=1`, allow);
    await until(() => site.reached.length > 0, seen);
    expect(site.decisions.map(({ decision }) => decision), ['allow']);
  }],
  // Why the pages name no form-action, and the proof that the cases above would notice one.
  ["a form-action of 'self' would stop the login on its way", async (context, site) => {
    site.policy = (policy) => `${policy}; form-action 'self'`;
    const seen = await decide(context, site, `${site.client}/cb`, (page) => press(page, 'Allow'));
    await until(() => blocked(seen).length > 0, seen);
    expect(site.reached, []);
  }],
];

async function decide(context, site, redirectTo, act) {
  const { page, seen } = await open(context, `${site.origin}/document`);
  site.redirectTo = redirectTo;
  await act(page);
  return seen;
}

async function press(page, name) {
  const button = page.getByRole('button', { name });
  for (let presses = 0; presses < 5; presses += 1) {
    await page.keyboard.press('Tab');
    if (await button.evaluate((it) => it === document.activeElement)) return page.keyboard.press('Enter');
  }
  throw new Error(`Tab does not reach '${name}'`);
}

const blocked = (seen) => seen.said.filter((line) => line.includes(BLOCKED));

async function until(holds, seen) {
  const deadline = Date.now() + 20_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`it never came; the browser says ${JSON.stringify(seen)}`);
    await new Promise((resolve) => { setTimeout(resolve, 25); });
  }
}

function expect(found, wanted) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`${left} instead of ${right}`);
}
