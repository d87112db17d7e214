// The authorization server: oidc-provider, certified by the OpenID Foundation, as it comes.
//
// What is set here is what an operator would set: which signing algorithm the resource's tokens
// have, which claims, how long they live, which grants are on. Its own development pages ask for
// login and consent.

import { createServer } from 'node:http';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { SignJWT, createLocalJWKSet, importJWK, jwtVerify } from 'jose';
import { Provider, errors } from 'oidc-provider';

/** The first access token is short-lived, so that every client has to refresh once. */
export const FIRST_LIFETIME = 8;
const LATER_LIFETIME = 3600;

/** What a client gets that asks for no scope (RFC 6749 section 3.3); oidc-provider has no default. */
export const DEFAULT_SCOPE = 'mcp';

/** Claims that each login brings into the access token. */
export const organizationOf = (subject) => subject.replace('user_', 'org_');

/** The client of the resource server at the introspection endpoint. */
const introspector = { id: 'resource-server', secret: randomBytes(32).toString('hex') };

/** The client of the resource server that exchanges tokens, and the API that it gets them for. */
const exchanger = { id: 'exchanging-server', secret: randomBytes(32).toString('hex') };
export const API_RESOURCE = 'https://api.interop.example/';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/** One key for each algorithm, all in one key set. */
const KEYS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};

function makeKeys() {
  return Object.entries(KEYS).map(([alg, make]) => ({
    ...make().privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-key`,
  }));
}

/** A client asks for its token format in its name: "anything (ES256)", "anything (opaque)". */
function formatOf(client) {
  const [, wanted] = /\((\w+)\)$/.exec(client.clientName ?? '') ?? [];
  if (wanted === 'opaque') return { accessTokenFormat: 'opaque' };
  return { accessTokenFormat: 'jwt', jwt: { sign: { alg: wanted ?? 'RS256' } } };
}

function configuration(keys, resources, fetchDocument) {
  return {
    jwks: { keys },
    clients: [{
      client_id: introspector.id, client_secret: introspector.secret,
      redirect_uris: [], response_types: [], grant_types: [],
    }, {
      client_id: exchanger.id, client_secret: exchanger.secret,
      redirect_uris: [], response_types: [], grant_types: [EXCHANGE],
    }],
    claims: { openid: ['sub', 'org_id'] },
    // Clients ask for the last one only where nobody names scopes to them and they take them all.
    scopes: ['openid', 'offline_access', DEFAULT_SCOPE, 'unnamed'],
    cookies: { keys: [randomBytes(16).toString('hex')] },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, org_id: organizationOf(id) }) }),
    extraTokenClaims: (ctx, token) => token.accountId && {
      org_id: organizationOf(token.accountId),
      ...token.gty === EXCHANGE && { act: { sub: token.clientId } },
    },
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    pkce: { required: () => true },
    ttl: { AccessToken: lifetime, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600 },
    fetch: fetchDocument,
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(ctx, resource, client) {
          if (!resources.has(resource)) throw new Error(`unknown resource ${resource}`);
          return { scope: DEFAULT_SCOPE, audience: resource, ...formatOf(client) };
        },
      },
      revocation: { enabled: true },
      clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
    },
  };
}

/**
 * Token exchange (RFC 8693), which oidc-provider leaves to its operators: for a token that this issuer
 * gave a client for one of its resources, one of the same user for the API. Scopes stay what they were.
 */
function exchangeTokens(provider, keys, resources) {
  const keySet = createLocalJWKSet({ keys: keys.map(({ d, p, q, dp, dq, qi, ...open }) => open) });
  const claimsOf = async (token) => {
    const opaque = await provider.AccessToken.find(token);
    if (opaque) return { sub: opaque.accountId, aud: opaque.aud, scope: opaque.scope };
    const { payload } = await jwtVerify(token, keySet, { issuer: provider.issuer, typ: 'at+jwt' });
    return payload;
  };
  provider.registerGrantType(EXCHANGE, async (ctx) => {
    const { client, params } = ctx.oidc;
    if (params.resource !== API_RESOURCE) throw new errors.InvalidTarget('no such resource');
    if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('no access token');
    const subject = await claimsOf(params.subject_token).catch(() => undefined);
    if (!subject || !resources.has(subject.aud)) throw new errors.InvalidGrant('the subject token is no good');
    const token = new provider.AccessToken({
      accountId: subject.sub, client, gty: EXCHANGE, scope: subject.scope,
    });
    token.resourceServer = new provider.ResourceServer(API_RESOURCE, {
      scope: subject.scope, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
    });
    ctx.oidc.entity('AccessToken', token);
    ctx.body = {
      access_token: await token.save(), issued_token_type: ACCESS_TOKEN, token_type: 'Bearer',
      expires_in: token.expiration, scope: token.scope,
    };
  }, ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource', 'scope']);
}

/** Whose first token lasts, too. */
const lasting = new Set();

function lifetime(ctx, token) {
  const later = ctx.oidc.params?.grant_type in COUNTED || lasting.has(token.accountId);
  return later ? LATER_LIFETIME : FIRST_LIFETIME;
}

/** Grants that begin no login, and what is counted of them. */
const COUNTED = { refresh_token: 'refreshes', [EXCHANGE]: 'exchanges' };

/** What the server did, by subject: logins asked for, tokens given. */
class Ledger {
  #counts = new Map();

  /** What the client of each subject asked for. */
  scopes = new Map();

  /** The access tokens of each subject, hashed. */
  tokens = new Map();

  add(subject, what) {
    const counts = this.of(subject);
    counts[what] += 1;
  }

  of(subject) {
    if (!this.#counts.has(subject)) {
      this.#counts.set(subject, { logins: 0, consents: 0, codes: 0, refreshes: 0, exchanges: 0 });
    }
    return this.#counts.get(subject);
  }
}

const ERRORS = ['authorization', 'grant', 'registration_create', 'introspection', 'revocation',
  'device_authorization', 'discovery', 'jwks'].map((name) => `${name}.error`).concat('server_error');

/** How the API notes tokens. */
export const hashOf = (token) => createHash('sha256').update(token).digest('hex');

function detail(error) {
  return error.error_detail ?? error.error_description ?? error.stack;
}

function keepLedger(provider, log) {
  const ledger = new Ledger();
  provider.on('interaction.ended', (ctx) => {
    const { prompt, result, session, params } = ctx.oidc.entities.Interaction;
    const subject = prompt.name === 'login' ? result.login?.accountId : session?.accountId;
    if (subject) ledger.scopes.set(subject, params.scope.split(' '));
    if (subject) ledger.add(subject, prompt.name === 'login' ? 'logins' : 'consents');
  });
  provider.on('grant.success', (ctx) => {
    const { AccessToken: token } = ctx.oidc.entities;
    const grant = ctx.oidc.params.grant_type;
    log(`${grant} for ${token?.accountId}: ${ctx.oidc.params.resource ?? 'no resource'}`);
    if (!token?.accountId) return;
    ledger.add(token.accountId, COUNTED[grant] ?? 'codes');
    const tokens = ledger.tokens.get(token.accountId) ?? [];
    ledger.tokens.set(token.accountId, [...tokens, hashOf(ctx.body.access_token)]);
  });
  for (const event of ERRORS) {
    provider.on(event, (ctx, error) => log(`${event} at ${ctx.path}: ${error.message} ${detail(error)}`));
  }
  return ledger;
}

/** The confidential client that asks for tokens. */
function clientOf({ headers: { authorization = '' } }) {
  const [, pair] = /^Basic (.*)$/.exec(authorization) ?? [];
  return pair && Buffer.from(pair, 'base64').toString().split(':')[0];
}

/**
 * Starts it on a free port of the loopback address. Resources are added as servers start; to clients that
 * are added to `away` it gives no tokens, as if it were out of order.
 */
export async function startProvider({ log, fetchDocument }) {
  // Its remarks about development settings are for operators, not for the one who reads the table.
  console.info = log;
  console.warn = log;
  const resources = new Set();
  const server = createServer();
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const keys = makeKeys();
  const provider = new Provider(issuer, configuration(keys, resources, fetchDocument));
  exchangeTokens(provider, keys, resources);
  provider.use((ctx, next) => {
    if (ctx.path === '/auth' && !ctx.query.scope) ctx.query = { ...ctx.query, scope: DEFAULT_SCOPE };
    return next();
  });
  const ledger = keepLedger(provider, log);
  const away = new Set();
  server.on('request', (request, response) => {
    response.on('finish', () => log(`${request.method} ${request.url} ${response.statusCode}`));
    if (away.has(clientOf(request))) response.writeHead(503).end();
    else provider.callback()(request, response);
  });
  // What its operator signs beside it, under a key that it publishes.
  const key = keys.find(({ alg }) => alg === 'ES256');
  const sign = async (claims, typ) => new SignJWT(claims)
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ }).sign(await importJWK(key, key.alg));
  return {
    issuer, resources, lasting, away, ledger, introspector, exchanger, sign,
    close: () => server.closeAllConnections() || server.close(),
  };
}
