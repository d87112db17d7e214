// A second issuer that exchanges tokens: idpyoidc, whose exchange nobody here wrote.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { API_RESOURCE } from './provider.mjs';
import { callStatus } from './raw.mjs';
import { freePort } from './world.mjs';

const REDIRECT = 'http://127.0.0.1/callback';

/** A token that a login gives, by code. */
async function logIn(issuer, secret) {
  const query = new URLSearchParams({
    response_type: 'code', client_id: 'client', redirect_uri: REDIRECT, scope: 'openid',
    state: 'state', nonce: 'nonce',
  });
  const back = await fetch(`${issuer}/authorization?${query}`, { redirect: 'manual' });
  const { searchParams: given } = new URL(back.headers.get('location'));
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`client:${secret}`)}` },
    body: new URLSearchParams({
      grant_type: 'authorization_code', code: given.get('code'), redirect_uri: REDIRECT,
    }),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()).access_token;
}

/** A user's token is good for calls, and the API sees another one of the same user. */
export async function runSecondIssuer(world, options) {
  const secret = randomBytes(16).toString('hex');
  const port = await freePort();
  const resource = `http://127.0.0.1:${port}/mcp`;
  const script = new URL('exchange_provider.py', import.meta.url).pathname;
  const issuer = await world.startPrinting('issuer-idpyoidc', options.python,
    [script, resource, API_RESOURCE, secret]);
  await world.startServer('server-idpyoidc', {
    MCP_CONFIG: world.exchangeFile('idpyoidc', issuer, { id: 'exchanger', secret }, 'audience'),
    UPSTREAM_AUDIENCE: '',
  }, port);
  const token = await logIn(issuer, secret);
  for (const _ of [1, 2]) {
    const answer = await callStatus(resource, token);
    assert.equal(answer.status, 200, answer.body);
    assert.doesNotMatch(answer.body, /"isError":true/);
  }
  const { sub: subject } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  const atApi = new Set((await world.askedBy(subject)).map((request) => request.token_sha256));
  assert.equal(atApi.size, 1, 'tokens at the API');
  assert.ok(!atApi.has(createHash('sha256').update(token).digest('hex')), 'the token of the client at the API');
  return ['authorize', 'token', 'list_projects', 'own token at the API'];
}
