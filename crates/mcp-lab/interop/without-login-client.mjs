// Two sessions of the official TypeScript client without a person, each with a token of its own. Options
// come as JSON on the command line, the result goes to stdout as JSON; see without-login.mjs for both.

import {
  Client, ClientCredentialsProvider, CrossAppAccessProvider, PrivateKeyJwtProvider, StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';

const options = JSON.parse(process.argv[2]);
const steps = [];
const tokens = [];

const common = { clientId: options.id, expectedIssuer: options.issuer };
const PROVIDERS = {
  key: () => new PrivateKeyJwtProvider({ ...common, privateKey: options.key, algorithm: 'ES256' }),
  secret: () => new ClientCredentialsProvider({ ...common, clientSecret: options.secret }),
  assertion: () => new CrossAppAccessProvider({
    ...common, clientSecret: options.secret, assertion: async () => options.assertions.shift(),
  }),
};

async function connect() {
  const provider = PROVIDERS[options.by]();
  const save = provider.saveTokens.bind(provider);
  provider.saveTokens = (given) => {
    steps.push('token');
    tokens.push(given);
    return save(given);
  };
  const client = new Client(
    { name: 'interop', version: '1' },
    { versionNegotiation: { mode: options.legacy ? 'legacy' : 'auto' } },
  );
  await client.connect(new StreamableHTTPClientTransport(new URL(options.url), { authProvider: provider }));
  steps.push('connect');
  return client;
}

async function call(client, name, args) {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError) throw new Error(`${name}: ${JSON.stringify(result.content)}`);
  steps.push(name);
}

const client = await connect();
await call(client, 'list_projects', {});
await call(client, 'create_requirement', options.requirement);
await client.close();
const again = await connect();
const protocol = again.getNegotiatedProtocolVersion();
await call(again, 'list_projects', {});
await again.close();

console.log(JSON.stringify({ protocol, steps, tokens }));
