// The command lines of Claude Code, Codex and mcp-remote log in by themselves at a server that has an
// authorization server of its own, and stay logged in when that forgets all it knew. Each is in a home
// of its own, with a browser that is played and a stand-in of its vendor's model.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { checkTokensAtApi, startOwn } from './own.mjs';

const NAME = 'own';
const TOOL = 'list_projects';
const PATIENCE = 60_000;

/** What each is told, to log in and to call the tool; and what it came back with. */
export const COMMAND_LINES = {
  'Claude Code': {
    program: '@anthropic-ai/claude-code/bin/claude.exe',
    async logIn(home, resource) {
      await home.run(['mcp', 'add', '--transport', 'http', NAME, resource]);
      await home.run(['mcp', 'login', NAME], { terminal: true });
    },
    call: (home) => callWithModel(home, 'anthropic', (url) => ({
      words: ['-p', 'Go on.', '--allowedTools', `mcp__${NAME}__${TOOL}`],
      env: { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: 'none', ENABLE_TOOL_SEARCH: 'false' },
    })),
  },
  Codex: {
    program: '@openai/codex/bin/codex.js', node: true,
    // It finds out that it has to log in, and does.
    logIn: (home, resource) => home.run(['mcp', 'add', NAME, '--url', resource]),
    call: (home) => callWithModel(home, 'openai', (url) => ({
      words: [
        'exec', '--skip-git-repo-check', '-m', 'any', '-c', 'model_provider="stub"', '-c',
        `model_providers.stub={name="stub",base_url="${url}/v1",wire_api="responses",env_key="STUB_KEY"}`, 'Go on.',
      ],
      env: { STUB_KEY: 'none' },
    })),
  },
  'mcp-remote': {
    program: 'mcp-remote/dist/proxy.js', node: true,
    async logIn(home, resource) { home.resource = resource; },
    async call(home) {
      const client = new Client({ name: 'interop', version: '1' });
      const [command, ...args] = [...home.program, home.resource];
      await client.connect(new StdioClientTransport({ command, args, env: home.env, stderr: 'ignore' }));
      try {
        return await client.callTool({ name: TOOL, arguments: {} });
      } finally {
        await client.close();
      }
    },
  },
};

/** What the model is handed of the call. */
async function callWithModel(home, vendor, told) {
  const { startModel } = await import(join(home.clients, 'model.mjs'));
  const model = await startModel(vendor, [TOOL]);
  try {
    const { words, env } = told(model.url);
    const printed = await home.run(words, { env });
    assert.equal(model.handed.length, 1, `no answer for the model, missed ${model.missed}: ${printed}`);
    return model.handed[0];
  } finally {
    model.stop();
  }
}

/** One client's home, and how it is run there. */
class Home {
  constructor(world, flow, clients) {
    const { program, node } = COMMAND_LINES[flow.client];
    const path = join(clients, 'node_modules', program);
    this.clients = clients;
    this.program = node ? [process.execPath, path] : [path];
    this.folder = world.folder(`home-${flow.subject}`);
    this.project = join(this.folder, 'project');
    const bin = join(this.folder, 'bin');
    for (const folder of [this.project, bin]) mkdirSync(folder, { recursive: true });
    // What opens the browser on this system.
    const opener = join(bin, 'xdg-open');
    const script = new URL('open.mjs', import.meta.url).pathname;
    writeFileSync(opener, `#!/bin/sh\nexec '${process.execPath}' '${script}' '${world.browserUrl}/${flow.subject}' "$1"\n`);
    chmodSync(opener, 0o755);
    this.env = {
      PATH: `${bin}:${process.env.PATH}`, HOME: this.folder, BROWSER: opener, TERM: 'xterm-256color',
      DISABLE_AUTOUPDATER: '1', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    };
  }

  /** Runs the client to its end; what it printed. */
  run(words, { terminal = false, env = {} } = {}) {
    const atTerminal = terminal ? ['python3', join(this.clients, 'terminal.py')] : [];
    const [program, ...rest] = [...atTerminal, ...this.program, ...words];
    const how = { env: { ...this.env, ...env }, cwd: this.project, timeout: PATIENCE };
    const child = spawn(program, rest, { ...how, stdio: [terminal ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => { printed += part; });
    return new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => {
        if (code === 0) resolve(printed);
        else reject(new Error(`${words.slice(0, 2).join(' ')} ended with ${code}: ${printed.slice(-500)}`));
      });
    });
  }

  /** Makes the access token that the client keeps one that no server takes. */
  age() {
    let aged = 0;
    for (const entry of readdirSync(this.folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = join(entry.parentPath, entry.name);
      const text = readFileSync(file, 'latin1');
      const worse = text.replace(/\b(eyJ[\w-]+\.eyJ[\w-]+\.)[\w-]{8}/g, '$1AAAAAAAA');
      if (worse === text) continue;
      writeFileSync(file, worse, 'latin1');
      aged += 1;
    }
    assert.equal(aged, 1, 'files with an access token');
  }
}

/** Runs the flow and gives its steps; throws what is wrong. */
export async function runCommandLine(flow, world, { clients }) {
  const { logIn, call } = COMMAND_LINES[flow.client];
  const { subject } = flow;
  world.provider.lasting.add(subject);
  const documents = flow.identity === 'document';
  const own = await startOwn(world, `server-own-${subject}`, { documents });
  const home = new Home(world, flow, clients);
  const documentUrl = documents
    && await world.documents.publish(`/clients/${subject}.json`, flow.client, 'http://localhost/callback');
  if (documents) home.env.MCP_OAUTH_CLIENT_METADATA_URL = documentUrl;
  const called = async () => assert.match(JSON.stringify(await call(home)), /PROJ-1/);

  await logIn(home, own.resource);
  await called();
  const opened = world.opened.get(subject);
  const clientId = opened.searchParams.get('client_id');
  if (documents) assert.equal(clientId, documentUrl);
  else assert.ok(!clientId.includes(':'), 'a registered client');
  await checkTokensAtApi(world, subject, 1);
  await own.again();
  await called();
  await checkTokensAtApi(world, subject, 1);
  home.age();
  world.provider.away.add(own.client);
  await assert.rejects(() => called());
  world.provider.away.delete(own.client);
  await called();
  await checkTokensAtApi(world, subject, 2);
  assert.equal(world.opened.get(subject), opened, 'a browser was opened again');
  const identity = documents ? 'client document' : 'register';
  return [identity, 'authorize', 'token', TOOL, 'server anew', TOOL, 'provider away', 'refresh', TOOL, "the provider's tokens at the API"];
}
