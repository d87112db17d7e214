// One user's session with the official TypeScript client. Options come as JSON on the command line,
// the result goes to stdout as JSON; see flows.mjs for both.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';

const options = JSON.parse(process.argv[2]);
const REDIRECT = 'http://127.0.0.1:1/callback';
const steps = [];

/** What the client keeps between runs: its registration and its tokens. */
class Login {
  tokensSeen = [];
  #client;
  #tokens;
  #verifier;
  #discovery;

  get redirectUrl() { return REDIRECT; }
  get clientMetadataUrl() { return options.documentUrl; }
  get clientMetadata() {
    return {
      client_name: options.clientName,
      redirect_uris: [REDIRECT],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  }

  clientInformation() { return this.#client; }
  saveClientInformation(client) {
    steps.push(client.client_id === options.documentUrl ? 'client document' : 'register');
    this.#client = client;
  }

  tokens() { return this.#tokens; }
  saveTokens(tokens) {
    steps.push(this.#tokens ? 'refresh' : 'token');
    this.tokensSeen.push(tokens);
    this.#tokens = tokens;
  }

  /** As if its access token were over: the server takes it no more. */
  age() {
    const [first, ...rest] = this.#tokens.access_token.split('').reverse();
    this.#tokens = { ...this.#tokens, access_token: [first === 'A' ? 'Q' : 'A', ...rest].reverse().join('') };
  }

  saveCodeVerifier(verifier) { this.#verifier = verifier; }
  codeVerifier() { return this.#verifier; }
  discoveryState() { return this.#discovery; }
  saveDiscoveryState(state) { this.#discovery = state; }

  async redirectToAuthorization(url) {
    steps.push('authorize');
    const answer = await fetch(options.browser, { method: 'POST', body: url.href });
    if (!answer.ok) throw new Error(await answer.text());
    this.callback = new URL(await answer.text());
  }
}

async function connect(login) {
  const client = new Client(
    { name: 'interop', version: '1' },
    { versionNegotiation: { mode: options.legacy ? 'legacy' : 'auto' } },
  );
  const transport = () => new StreamableHTTPClientTransport(new URL(options.url), { authProvider: login });
  const first = transport();
  try {
    await client.connect(first);
  } catch (error) {
    if (!(error instanceof UnauthorizedError) && !login.callback) throw error;
    await first.finishAuth(login.callback.searchParams);
    await client.close().catch(() => {});
    return connect(login);
  }
  steps.push('connect');
  return client;
}

async function call(client, name, args) {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError) throw new Error(`${name}: ${JSON.stringify(result.content)}`);
  steps.push(name);
  return result.structuredContent;
}

/** Calls until the client refreshed its token; what a refused call says is kept. */
async function untilRefreshed(client, login) {
  const deadline = Date.now() + 60_000;
  const refused = [];
  if (options.aging) login.age();
  while (login.tokensSeen.length < 2) {
    if (Date.now() > deadline) throw new Error(`no refresh after a minute: ${refused[0]}`);
    const result = await client.callTool({ name: 'list_projects', arguments: {} });
    if (result.isError) refused.push(result.content[0]?.text);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  return refused;
}

const login = new Login();
const client = await connect(login);
const tools = await client.listTools();
const projects = await call(client, 'list_projects', {});
const requirement = await call(client, 'create_requirement', options.requirement);
const refused = await untilRefreshed(client, login);
await call(client, 'list_projects', {});
await client.close();
// The next day: a new process of the same user, with what the first one kept.
const again = await connect(login);
const protocol = again.getNegotiatedProtocolVersion();
await call(again, 'list_projects', {});
await again.close();

console.log(JSON.stringify({
  protocol, steps, refused, projects, requirement, tools: tools.tools.map((tool) => tool.name),
  client: login.clientInformation(), tokens: login.tokensSeen,
}));
