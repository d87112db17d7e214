// The pages for operators: the real server among stand-ins, with users who are connected, and what an
// operator does there without scripts.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const TOKENS = { write: randomBytes(32).toString('hex'), read: randomBytes(32).toString('hex') };
/** What tokens are for: the server's own name, wherever it listens. */
const RESOURCE = 'http://127.0.0.1:8080/mcp';
const ODD = '<b>user</b> שלום an-unusually-long-name-without-any-space-in-it_0123456789_0123456789';

/** The pages that are looked at, who looks, and with which status they come. */
export const shown = [
  { name: 'login', path: '/ui/login', status: 200, role: null },
  { name: 'status', path: '/ui/status', status: 200, role: 'write' },
  { name: 'sessions', path: '/ui/sessions', status: 200, role: 'write' },
  { name: 'done', path: '/ui/revocations?done=suspended&told=here&sessions=0', status: 200, role: 'write' },
  { name: 'tasks', path: '/ui/tasks', status: 200, role: 'write' },
  { name: 'nothing', path: '/ui/nothing', status: 404, role: 'write' },
  { name: 'reading', path: '/ui/sessions', status: 200, role: 'read' },
];

/** What an operator does, with scripts off; each throws where it does not hold. */
export const deeds = [
  ['an operator signs a user out and suspends an organization', async (context, { origin }) => {
    const page = await context.newPage();
    await page.goto(`${origin}/`);
    await enter(page, TOKENS.write);
    await page.getByRole('link', { name: 'Connected users' }).click();
    await page.getByRole('button', { name: 'Sign out user_bob' }).click();
    await told(page, 'Signed out.');
    await page.getByRole('row', { name: 'user_bob' }).waitFor();
    await page.getByRole('textbox', { name: 'Organization' }).fill('org_loud');
    await page.getByRole('button', { name: 'Suspend' }).click();
    await told(page, 'Suspended.');
    await page.getByRole('row', { name: 'org_loud' }).getByRole('button').click();
    await told(page, 'Let in again.');
    await page.getByRole('textbox', { name: 'User' }).fill(ODD);
    await page.getByRole('button', { name: 'Suspend' }).click();
    await told(page, 'Suspended.');
  }],
  ['an operator searches, changes the log level and logs out', async (context, { origin }) => {
    const page = await context.newPage();
    await page.goto(`${origin}/ui`);
    await enter(page, TOKENS.write);
    await page.getByLabel('Level or directives').fill('debug');
    await page.keyboard.press('Enter');
    await told(page, 'Changed.');
    await page.getByRole('link', { name: 'Connected users' }).click();
    await page.getByRole('textbox', { name: 'User' }).fill('user_ada');
    await page.keyboard.press('Enter');
    await page.getByText('1 in all').waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.goto(`${origin}/ui/sessions`);
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
  }],
  ['who may only read is shown nothing to change', async (context, { origin }) => {
    const page = await context.newPage();
    await page.goto(`${origin}/ui`);
    await enter(page, TOKENS.read);
    for (const name of ['Status', 'Connected users', 'Revocations', 'Tasks']) {
      await page.getByRole('link', { name }).click();
      await page.getByRole('heading', { name }).waitFor();
      expect(await page.locator('form[method=post] button').allInnerTexts(), ['Log out']);
    }
  }],
  ['a wrong token is told so, and is in no address', async (context, { origin }) => {
    const page = await context.newPage();
    await page.goto(`${origin}/ui`);
    await enter(page, 'sesame');
    await page.getByRole('alert').getByText('none of').waitFor();
    expect(page.url(), `${origin}/ui/login`);
  }],
];

/** Logs a context in as somebody, or out. */
export async function logIn(context, { origin }, role) {
  await context.clearCookies();
  if (!role) return;
  const form = { token: TOKENS[role] };
  const answer = await context.request.post(`${origin}/ui/login`, { form, headers: { origin }, maxRedirects: 0 });
  expect(answer.status(), 303);
}

async function enter(page, token) {
  await page.getByLabel("Operator's token").fill(token);
  await page.keyboard.press('Enter');
}

const told = (page, text) => page.getByRole('status').getByText(text).waitFor();

/** Starts the stand-ins and the server, and connects some users. */
export async function startOperated({ lab, server }) {
  const folder = mkdtempSync(join(tmpdir(), 'operated-'));
  const tokens = join(folder, 'tokens');
  writeFileSync(tokens, `ada@example.com write ${TOKENS.write}\ngrafana read ${TOKENS.read}\n`, { mode: 0o600 });
  const running = [];
  const stop = () => {
    for (const child of running) child.kill();
    rmSync(folder, { recursive: true });
  };
  try {
    const stoodIn = async (what, ...more) => {
      const lines = await begin(running, lab, [what, ...more], {}, (line) => line.includes('http://'));
      return lines.join('').match(/http:\/\/[\d.:]+/)[0];
    };
    const issuer = await stoodIn('issuer', '--audience', RESOURCE);
    const lines = await begin(running, server, [], {
      MCP_TRANSPORT: 'http', PORT: '0', MCP_HOST: new URL(RESOURCE).origin, LOG_FORMAT: 'json', OAUTH_ISSUER: issuer,
      UPSTREAM_AUDIENCE: RESOURCE, BRAINGRID_API_URL: await stoodIn('api'), ADMIN_BIND: '127.0.0.1:0',
      ADMIN_TOKENS_FILE: tokens,
    }, (line) => JSON.parse(line).message === 'listening');
    const address = (message) => lines.map((line) => JSON.parse(line)).find((line) => line.message === message).address;
    const users = [['user_ada', 'org_quiet'], ['user_bob', 'org_quiet'], ['user_cyd', 'org_loud'], [ODD, 'org_loud']];
    for (const [sub, organization] of users) await connect(issuer, address('listening'), sub, organization);
    return { origin: `http://${address('listening for operators')}`, stop };
  } catch (error) {
    stop();
    throw error;
  }
}

/** Has a user call the server once. */
async function connect(issuer, address, sub, organization) {
  const claims = JSON.stringify({ sub, org_id: organization, client_id: 'claude' });
  const { token } = await (await fetch(`${issuer}/__stand-in/token`, { method: 'POST', body: claims })).json();
  const clientInfo = { name: 'pages', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  const answer = await fetch(`http://${address}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  });
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
}

/** Starts a program and waits for a line; all its lines until then. */
async function begin(running, program, args, env, isLast) {
  const child = spawn(program, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  const lines = [];
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => lines.push(line) && isLast(line) && resolve(lines));
    }
    child.on('exit', () => reject(new Error(`${program} ended: ${lines.join('\n')}`)));
  });
}

function expect(found, wanted) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`${left} instead of ${right}`);
}
