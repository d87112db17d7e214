// `braingrid-mcp login`, with the person at the browser played, then a refresh and the way out.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { browse } from './browser.mjs';
import { DEFAULT_SCOPE, FIRST_LIFETIME, organizationOf } from './provider.mjs';
import { refresh } from './raw.mjs';
import { until } from './world.mjs';

/** How many processes want the next token at once. */
const AT_ONCE = 5;

/** What a person does with what the terminal shows, once; the promise of it. */
function person({ client, subject }, issuer) {
  const shown = client.includes('device') ? /\(Or open (\S+), and compare/ : /^ {2}(http\S+)$/m;
  let acting;
  const act = async (url) => {
    const back = await browse(url, subject, issuer);
    if (client.includes('device')) return;
    const page = await fetch(back);
    assert.equal(page.status, 200, await page.text());
  };
  return {
    watch: (text) => { acting ??= shown.exec(text) && act(shown.exec(text)[1]); },
    done: () => acting,
  };
}

/** Runs the flow and gives its steps; throws what is wrong. */
export async function runLogin(flow, world, options) {
  const { issuer } = world.provider;
  const resource = world.jwtServer;
  const folder = world.folder(`login-${flow.subject}`);
  const environment = {
    OAUTH_ISSUER: issuer, UPSTREAM_AUDIENCE: resource, BRAINGRID_API_URL: world.api,
    BRAINGRID_LOGIN_SCOPES: `openid,offline_access,${DEFAULT_SCOPE}`,
    BRAINGRID_LOGIN_STORE: 'file', BRAINGRID_LOGIN_DIR: folder,
  };
  if (flow.identity === 'document') {
    environment.BRAINGRID_CLIENT_ID = await world.documents.publish(`/clients/${flow.subject}.json`, 'BrainGrid (RS256)');
  }
  const run = async (words, expected = 0, watch = undefined) => {
    const { code, printed, complaint } = await world.runProgram(
      `login-${flow.subject}-${words[0]}`, options.server, words, environment, watch,
    );
    assert.equal(code, expected, `${words.join(' ')} ended with ${code}: ${complaint}${printed}`);
    return printed;
  };

  const { watch, done } = person(flow, issuer);
  const words = flow.client.includes('device') ? ['login', '--device'] : ['login', '--no-browser'];
  const told = await run(words, 0, watch);
  await done();
  assert.ok(told.includes(organizationOf(flow.subject)), told);

  const status = JSON.parse(await run(['status', '--json']));
  assert.ok(status.refreshable && status.issuer === issuer, JSON.stringify(status));
  const first = stored(folder);
  const end = Date.parse(status.expires_at);
  assert.ok(end - Date.now() <= FIRST_LIFETIME * 1000, status.expires_at);
  await until('the first token ends', async () => Date.now() > end);
  await Promise.all(Array.from({ length: AT_ONCE }, () => run(['whoami'])));
  const second = stored(folder);
  assert.notEqual(first.refresh_token, second.refresh_token, 'refresh tokens rotate');

  assert.match(await run(['logout']), /revoked/);
  await run(['status'], 77);
  const client = { client_id: second.client_id };
  await assert.rejects(refresh({ issuer, resource, client, tokens: second }), { error: 'invalid_grant' });
  const identity = flow.identity === 'document' ? 'client document' : 'register';
  const asked = flow.client.includes('device') ? 'user code' : 'authorize';
  return [identity, asked, 'token', 'whoami', `${AT_ONCE} × refresh at once`, 'logout', 'revoked'];
}

function stored(folder) {
  return JSON.parse(readFileSync(`${folder}/login.json`, 'utf8')).credential;
}
