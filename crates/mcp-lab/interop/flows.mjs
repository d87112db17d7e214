// What is run, and what must be true afterwards.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { COMMAND_LINES, runCommandLine } from './command-lines.mjs';
import { FIRST_LIFETIME, organizationOf } from './provider.mjs';
import { runSecondIssuer } from './exchange.mjs';
import { runInspector } from './inspector.mjs';
import { runLogin } from './login.mjs';
import { checkOwnTokens, checkTokensAtApi } from './own.mjs';
import { callStatus, deviceFlow, revoke } from './raw.mjs';
import { runTasks } from './tasks.mjs';
import { runWithoutLogin } from './without-login.mjs';
import { INTROSPECTION_CACHE, NAMED_SCOPES, until } from './world.mjs';

const ALGORITHMS = ['RS256', 'ES256', 'PS256', 'EdDSA'];
const CLIENTS = ['TypeScript', 'Python'];
const PROTOCOLS = { modern: '2026-07-28', legacy: '2025-11-25' };
/** How each client introduces itself to our own authorization server. */
const OWN = [
  [PROTOCOLS.modern, 'registration'], [PROTOCOLS.legacy, 'registration'], [PROTOCOLS.modern, 'document'],
];

/** Every flow: each client in each protocol mode with each kind of token, and the special ones. */
export function allFlows() {
  const flows = [];
  const add = (flow) => flows.push({ ...flow, subject: `user_${flows.length + 1}` });
  for (const client of CLIENTS) {
    for (const protocol of Object.values(PROTOCOLS)) {
      for (const format of [...ALGORITHMS, 'opaque']) {
        add({ client, protocol, format, identity: 'registration' });
      }
      add({ client, protocol, format: 'RS256', identity: 'registration', exchange: 'exchange' });
    }
    add({ client, protocol: PROTOCOLS.modern, format: 'ES256', identity: 'document' });
    for (const [protocol, identity] of OWN) add({ client, protocol, format: 'own', identity });
  }
  add({ client: 'plain HTTP', protocol: PROTOCOLS.modern, format: 'RS256', identity: 'device' });
  add({ client: 'plain HTTP, idpyoidc', protocol: PROTOCOLS.modern, format: 'ES256', identity: 'configured',
    exchange: 'exchange', second: true });
  for (const client of Object.keys(COMMAND_LINES)) {
    add({ client, protocol: '–', format: 'own', identity: 'registration', commandLine: true });
  }
  add({ client: 'Claude Code', protocol: '–', format: 'own', identity: 'document', commandLine: true });
  for (const identity of ['key', 'secret', 'assertion']) {
    for (const protocol of Object.values(PROTOCOLS)) {
      add({ client: 'TypeScript, no login', protocol, format: 'own', identity, withoutLogin: true });
    }
  }
  for (const transport of ['HTTP', 'stdio']) {
    for (const protocol of Object.values(PROTOCOLS)) {
      add({ client: `Inspector, ${transport}`, protocol, format: 'RS256', identity: 'device', transport });
    }
  }
  for (const protocol of Object.values(PROTOCOLS)) {
    add({ client: 'TypeScript, tasks', protocol, format: 'RS256', identity: 'device', tasks: true });
  }
  for (const client of ['login in the browser', 'login on a device']) {
    add({ client, protocol: '–', format: 'RS256', identity: 'registration', login: true });
  }
  add({ client: 'login in the browser', protocol: '–', format: 'RS256', identity: 'document', login: true });
  return flows;
}

/** Runs one and gives its steps; throws what is wrong. */
export async function run(flow, world, options) {
  if (flow.second) return { steps: await runSecondIssuer(world, options) };
  if (flow.transport) return runWithInspector(flow, world, options);
  if (flow.tasks) return runWithTasks(flow, world);
  if (flow.withoutLogin) {
    return { steps: await runWithoutLogin({ ...flow, legacy: flow.protocol === PROTOCOLS.legacy }, world) };
  }
  if (flow.commandLine) return runWithCommandLine(flow, world, options);
  if (flow.login) return runOwnLogin(flow, world, options);
  return flow.identity === 'device' ? runDevice(flow, world) : runClient(flow, world, options);
}

async function runClient(flow, world, options) {
  const clientName = `interop ${flow.client} (${flow.format})`;
  const own = flow.format === 'own';
  const url = serverOf(flow, world);
  // No token of this server's own lives for seconds: the client is made to take it for one that is over.
  const aging = own;
  if (aging) world.provider.lasting.add(flow.subject);
  const document = flow.identity === 'document'
    ? { documentUrl: await world.documents.publish(`/clients/${flow.subject}.json`, clientName) } : {};
  const [program, script] = flow.client === 'Python'
    ? [options.python, 'client.py'] : [process.execPath, 'client.mjs'];
  const name = ['client', flow.client, flow.protocol, flow.format, flow.identity, flow.exchange]
    .filter(Boolean).join('-').toLowerCase();
  const result = await world.runClient(name, program, new URL(script, import.meta.url).pathname, {
    url, clientName, legacy: flow.protocol === PROTOCOLS.legacy, quiet: flow.format === 'opaque', aging,
    browser: `${world.browserUrl}/${flow.subject}`,
    requirement: { message: `An idea of ${flow.subject}, long enough`, repositories: 'acme/web' },
    ...document,
  });
  checkSession(flow, result);
  if (own) checkOwnTokens(world, result.tokens);
  else checkTokens(flow, result.tokens);
  checkLedger(flow, world);
  if (!own) checkScopes(flow, world);
  await checkApi(flow, world);
  if (flow.exchange) await checkExchange(flow, world, result);
  if (own) {
    await checkTokensAtApi(world, flow.subject, 2, result.tokens.map((token) => token.access_token));
    result.steps.push("the provider's tokens at the API");
  }
  const { steps, refused } = result;
  if (refused.length > 0) {
    // Between the token's end and the end of the leeway the server still accepts it, the API not.
    steps.splice(steps.indexOf('refresh'), 0, `${refused.length} × refused by the API`);
  }
  if (flow.format === 'opaque') steps.push(...await checkRevocation(world, url, result));
  return { steps };
}

function serverOf({ format, exchange }, world) {
  if (format === 'own') return world.ownServer.resource;
  if (format === 'opaque') return world.opaqueServer;
  return exchange ? world.exchangeServer : world.jwtServer;
}

function checkSession(flow, { protocol, steps, tools, projects, requirement }) {
  assert.equal(protocol, flow.protocol, 'the protocol version');
  const identity = flow.identity === 'document' ? 'client document' : 'register';
  // On a busy machine the token may end, and be refreshed, a call earlier.
  assert.deepEqual(steps.filter((step) => step !== 'refresh'), [identity, 'authorize', 'token',
    'connect', 'list_projects', 'create_requirement', 'list_projects', 'connect', 'list_projects']);
  assert.ok(tools.includes('create_requirement'), `tools: ${tools}`);
  assert.deepEqual(projects.projects.map((project) => project.short_id), ['PROJ-1']);
  assert.match(requirement.requirement.short_id, /^REQ-\d+$/);
}

function checkTokens(flow, tokens) {
  assert.equal(tokens.length, 2, 'one token, one refreshed token');
  assert.notEqual(tokens[0].access_token, tokens[1].access_token);
  assert.notEqual(tokens[0].refresh_token, tokens[1].refresh_token, 'refresh tokens rotate');
  assert.equal(tokens[0].expires_in, FIRST_LIFETIME);
  for (const { access_token: token } of tokens) {
    if (flow.format === 'opaque') assert.equal(token.split('.').length, 1, 'an opaque token');
    else assert.equal(headerOf(token).alg, flow.format, 'the algorithm');
  }
}

function headerOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[0], 'base64url'));
}

/** Nobody is asked to log in twice, and each token is exchanged once where tokens are. */
function checkLedger(flow, world) {
  assert.deepEqual(world.provider.ledger.of(flow.subject), {
    logins: 1, consents: 1, codes: 1, refreshes: flow.client === 'plain HTTP' ? 0 : 1,
    exchanges: flow.exchange ? 2 : 0,
  });
}

/** The API got a token of its own for each token of the client, and none of those. */
async function checkExchange(flow, world, { tokens, steps }) {
  const hash = (token) => createHash('sha256').update(token).digest('hex');
  const ofClient = new Set(tokens.map((token) => hash(token.access_token)));
  const atApi = new Set((await world.askedBy(flow.subject)).map((request) => request.token_sha256));
  assert.equal(atApi.size, 2, 'tokens at the API');
  assert.ok(atApi.isDisjointFrom(ofClient), 'a token of the client at the API');
  steps.push('own tokens at the API');
}

/** A client asks for the scopes that the challenge names, and for offline_access if it wants to. */
function checkScopes(flow, world) {
  // The other server names none.
  if (flow.format === 'opaque') return;
  const asked = world.provider.ledger.scopes.get(flow.subject);
  assert.deepEqual(new Set(asked).difference(new Set(['offline_access'])), new Set(NAMED_SCOPES));
}

async function checkApi(flow, world) {
  const asked = await world.askedBy(flow.subject);
  // Over stdio the profile tells the organization, and is asked for without one.
  const named = asked.filter(({ path }) => !path.endsWith('/profile'));
  const organizations = new Set(named.map((request) => request.organization));
  assert.deepEqual([...organizations], [organizationOf(flow.subject)], 'the organization at the API');
  if (flow.client === 'plain HTTP' || flow.commandLine) return;
  const created = asked.filter(({ method, path }) => method === 'POST' && /requirement/.test(path));
  assert.equal(created.length, 1, 'one requirement was created');
}

/** A revoked token is refused as soon as the answer about it is too old to be believed. */
async function checkRevocation(world, url, { client, tokens }) {
  const { access_token: token } = tokens.at(-1);
  assert.equal((await callStatus(url, token)).status, 200);
  await revoke(world.provider.issuer, token, client.client_id);
  const revoked = Date.now();
  const refused = await until('a revoked token is refused', async () => {
    const answer = await callStatus(url, token);
    return answer.status !== 200 && answer;
  });
  const seconds = (Date.now() - revoked) / 1000;
  assert.equal(refused.status, 401);
  assert.match(refused.challenge, /error="invalid_token"/);
  const limit = INTROSPECTION_CACHE + 3;
  assert.ok(seconds <= limit, `refused after ${seconds} s, ${limit} s are allowed`);
  return ['revoke', `401 after ${seconds.toFixed(1)} s`];
}

async function runDevice(flow, world) {
  const { issuer } = world.provider;
  const clientName = `interop device (${flow.format})`;
  const { tokens } = await deviceFlow({
    issuer, resource: world.jwtServer, subject: flow.subject, clientName,
  });
  assert.equal(headerOf(tokens.access_token).alg, flow.format);
  const answer = await callStatus(world.jwtServer, tokens.access_token);
  assert.equal(answer.status, 200, answer.body);
  checkLedger(flow, world);
  await checkApi(flow, world);
  return { steps: ['register', 'user code', 'token', 'list_projects'] };
}

async function runWithCommandLine(flow, world, options) {
  const steps = await runCommandLine(flow, world, options);
  checkLedger(flow, world);
  await checkApi(flow, world);
  return { steps };
}

async function runOwnLogin(flow, world, options) {
  const steps = await runLogin(flow, world, options);
  checkLedger(flow, world);
  return { steps };
}

async function runWithInspector(flow, world, options) {
  const steps = await runInspector({
    ...flow, era: flow.protocol === PROTOCOLS.modern ? 'modern' : 'legacy',
  }, world, options);
  checkLedger(flow, world);
  await checkApi(flow, world);
  return { steps };
}

async function runWithTasks(flow, world) {
  const steps = await runTasks({ ...flow, legacy: flow.protocol === PROTOCOLS.legacy }, world);
  checkLedger(flow, world);
  await checkApi(flow, world);
  return { steps };
}
