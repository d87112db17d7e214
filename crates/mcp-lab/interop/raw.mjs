// Plain HTTP where no client library goes: one tool call, revocation, the device flow.

import { browse } from './browser.mjs';
import { DEFAULT_SCOPE } from './provider.mjs';
import { until } from './world.mjs';

const MODERN = '2026-07-28';

/** The status of one tool call with this token. */
export async function callStatus(url, token) {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`, 'content-type': 'application/json',
      accept: 'application/json, text/event-stream', 'mcp-protocol-version': MODERN,
      'mcp-method': 'tools/call', 'mcp-name': 'list_projects',
    },
    body: JSON.stringify({
      jsonrpc: '2.0', id: 1, method: 'tools/call',
      params: {
        name: 'list_projects', arguments: {},
        _meta: {
          'io.modelcontextprotocol/protocolVersion': MODERN,
          'io.modelcontextprotocol/clientCapabilities': {},
          'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
        },
      },
    }),
  });
  const body = await response.text();
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body };
}

async function post(url, form) {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : {};
  if (!response.ok) throw Object.assign(new Error(`${answer.error}: ${answer.error_description}`), answer);
  return answer;
}

async function metadataOf(issuer) {
  return (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
}

/** Revokes at the issuer (RFC 7009). */
export async function revoke(issuer, token, clientId) {
  const { revocation_endpoint: endpoint } = await metadataOf(issuer);
  await post(endpoint, { token, token_type_hint: 'access_token', client_id: clientId });
}

/** The device flow (RFC 8628): the person types a code on another machine. */
export async function deviceFlow({ issuer, resource, subject, clientName }) {
  const metadata = await metadataOf(issuer);
  const response = await fetch(metadata.registration_endpoint, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: clientName, redirect_uris: [], response_types: [], application_type: 'native',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
    }),
  });
  const client = await response.json();
  if (!client.client_id) throw new Error(`registration: ${client.error_description}`);
  const started = await post(metadata.device_authorization_endpoint, {
    client_id: client.client_id, resource, scope: DEFAULT_SCOPE,
  });
  await browse(started.verification_uri_complete, subject, issuer);
  const tokens = await until('the device gets its token', () => post(metadata.token_endpoint, {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code', resource,
    device_code: started.device_code, client_id: client.client_id,
  }));
  return { client, tokens };
}

/** The tokens that follow these. */
export async function refresh({ issuer, resource, client, tokens }) {
  const { token_endpoint: endpoint } = await metadataOf(issuer);
  return post(endpoint, {
    grant_type: 'refresh_token', resource, refresh_token: tokens.refresh_token, client_id: client.client_id,
  });
}
