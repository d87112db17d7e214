// Clients that get tokens of our own authorization server without a person: for themselves, and for a user
// for whom the identity provider speaks. The API must see the token that was configured for them alone.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { hashOf } from './provider.mjs';

const SCRIPT = new URL('without-login-client.mjs', import.meta.url).pathname;

/** What is configured for them, as an operator does. */
export async function configureWithoutLogin(world, name) {
  const { issuer, sign } = world.provider;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const secret = () => randomBytes(24).toString('hex');
  const clients = {
    key: { id: 'signing-job', subject: 'user_signing_job', key: privateKey.export({ format: 'jwk' }) },
    secret: { id: 'job', subject: 'user_job', secret: secret() },
    assertion: { id: 'agent', subject: 'user_enterprise', secret: secret() },
  };
  const keys = { keys: [{ ...publicKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }] };
  world.write(`${name}-keys.json`, JSON.stringify(keys));
  for (const client of Object.values(clients)) {
    client.token = await sign({ sub: client.subject, org_id: organizationOf(client) }, 'at+jwt');
    world.write(`${name}-api-${client.id}`, client.token);
  }
  const service = (client, proof) => `
[[authorization_server.clients]]
id = "${client.id}"
${proof}
[authorization_server.clients.client_credentials]
organization = "${organizationOf(client)}"
api_token_file = "${name}-api-${client.id}"
`;
  const { key, secret: job, assertion } = clients;
  const settings = `${service(key, `jwks_file = "${name}-keys.json"`)}${service(job, `secret = "${job.secret}"`)}
[[authorization_server.clients]]
id = "${assertion.id}"
secret = "${assertion.secret}"

[[authorization_server.assertion_issuers]]
issuer = "${issuer}"
clients = ["${assertion.id}"]
organization = "${organizationOf(assertion)}"
api_token_file = "${name}-api-${assertion.id}"
`;
  return { clients, settings };
}

const organizationOf = ({ subject }) => subject.replace('user_', 'org_');

/** What the identity provider gives the client for its user: an ID-JAG. */
function assertionOf(world, client) {
  const now = Math.floor(Date.now() / 1000);
  const { issuer, resource } = world.ownServer;
  return world.provider.sign({
    iss: world.provider.issuer, sub: 'ada', aud: issuer, client_id: client.id, resource,
    jti: randomUUID(), iat: now, exp: now + 300,
  }, 'oauth-id-jag+jwt');
}

/** Runs the flow and gives its steps; throws what is wrong. */
export async function runWithoutLogin({ identity, protocol, legacy }, world) {
  const client = world.ownServer.withoutLogin[identity];
  const { issuer, resource } = world.ownServer;
  const before = (await world.askedBy(client.subject)).length;
  const assertions = identity === 'assertion'
    ? [await assertionOf(world, client), await assertionOf(world, client)] : [];
  const name = `without-login-${identity}-${protocol}`;
  const result = await world.runClient(name, process.execPath, SCRIPT, {
    url: resource, issuer, by: identity, id: client.id, key: client.key, secret: client.secret, assertions, legacy,
    requirement: { message: `An idea of ${client.id} in ${protocol}, long enough`, repositories: 'acme/web' },
  });
  assert.equal(result.protocol, protocol, 'the protocol version');
  assert.deepEqual(result.steps, ['token', 'connect', 'list_projects', 'create_requirement',
    'token', 'connect', 'list_projects']);
  const [first, second] = result.tokens;
  assert.notEqual(first.access_token, second.access_token);
  for (const { access_token: token, refresh_token: refresh } of result.tokens) {
    assert.equal(refresh, undefined, 'no refresh token');
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    // The provider is who speaks: its user is the same as one that logs in there.
    const subject = identity === 'assertion' ? 'ada' : client.id;
    assert.deepEqual([claims.sub, claims.client_id, claims.aud], [subject, client.id, resource]);
  }
  const asked = (await world.askedBy(client.subject)).slice(before);
  assert.ok(asked.length >= 3, 'calls at the API');
  assert.deepEqual([...new Set(asked.map((it) => it.token_sha256))], [hashOf(client.token)], 'tokens at the API');
  assert.deepEqual([...new Set(asked.map((it) => it.organization))], [organizationOf(client)]);
  return [...result.steps, 'the configured token at the API'];
}
