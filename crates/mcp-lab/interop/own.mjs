// The server under test with an authorization server of its own, in front of the certified one: what
// clients introduce themselves to, and what has one client there.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { hashOf } from './provider.mjs';
import { freePort } from './world.mjs';

/** What an operator does: registers this server as a confidential web application. */
async function application(issuer, callback) {
  const answer = await fetch(`${issuer}/reg`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'braingrid-mcp', redirect_uris: [callback], response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'],
    }),
  });
  assert.equal(answer.status, 201, await answer.clone().text());
  return answer.json();
}

/** Starts one; `again` starts it anew with the same settings, and nothing of what it knew. */
export async function startOwn(world, name, { documents = true, withoutLogin = { settings: '' } } = {}) {
  const { issuer } = world.provider;
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const client = await application(issuer, `${origin}/callback`);
  world.origins.push(origin);
  world.write(`${name}-secret`, client.client_secret);
  const file = world.write(`${name}.toml`, `
[authorization_server]
issuer = "${issuer}"
client_id = "${client.client_id}"
client_secret_file = "${name}-secret"
scopes = ["openid", "offline_access"]
client_id_metadata_documents = ${documents}
${withoutLogin.settings}`);
  const key = randomBytes(32).toString('hex');
  const start = (log) => world.startServer(log, {
    MCP_CONFIG: file, MCP_HOST: origin, ENCRYPTION_KEY: key, UPSTREAM_AUDIENCE: '',
    SSL_CERT_FILE: world.documents.certificate ?? '',
  }, port);
  const resource = await start(name);
  const again = async () => {
    await world.stopServer(resource);
    await start(`${name}-again`);
  };
  return { resource, issuer: origin, client: client.client_id, withoutLogin: withoutLogin.clients, again };
}

/** The tokens are this server's, and each is another one. */
export function checkOwnTokens(world, tokens) {
  assert.equal(tokens.length, 2, 'one token, one refreshed token');
  assert.notEqual(tokens[0].access_token, tokens[1].access_token);
  assert.notEqual(tokens[0].refresh_token, tokens[1].refresh_token, 'refresh tokens rotate');
  for (const { access_token: token } of tokens) {
    const [header, claims] = token.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
    assert.deepEqual([header.alg, header.typ], ['EdDSA', 'at+jwt']);
    assert.deepEqual([claims.iss, claims.aud], [world.ownServer.issuer, world.ownServer.resource]);
  }
}

/** The API saw the provider's tokens of this user, all `count`, and none that a client had. */
export async function checkTokensAtApi(world, subject, count, ofClient = []) {
  const atApi = new Set((await world.askedBy(subject)).map((request) => request.token_sha256));
  const ofProvider = new Set(world.provider.ledger.tokens.get(subject));
  assert.ok(atApi.isSubsetOf(ofProvider), "a token at the API that is not the provider's");
  assert.ok(atApi.isDisjointFrom(new Set(ofClient.map(hashOf))), 'a token of the client at the API');
  assert.equal(atApi.size, count, 'tokens at the API');
}
