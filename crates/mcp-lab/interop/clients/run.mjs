// What `install` writes is read by the clients themselves: they list the server, start it and talk to
// it, hand their model what it answers, and have it no more after `uninstall`. Each in a home of its
// own, without a network; the model is a stand-in.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startModel } from './model.mjs';
import { tryTasks } from './tasks.mjs';

const text = { type: 'string' };
const { values: options } = parseArgs({
  options: { server: text, 'stand-ins': text, strict: { type: 'boolean' } },
});
const modules = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
const HOSTED = 'http://127.0.0.1:9/mcp';
/// Answered without a login and without BrainGrid: a result, and an error.
const TOOLS = ['info', 'get_profile'];

const CLIENTS = [
  {
    name: 'claude-code', program: [join(modules, '@anthropic-ai/claude-code/bin/claude.exe')],
    async local(run) {
      const shown = await run('mcp', 'get', 'braingrid');
      assert.match(shown, /Connected/, shown);
      assert.ok(shown.includes(`Command: ${options.server}`), shown);
    },
    async hosted(run) {
      const shown = await run('mcp', 'get', 'braingrid');
      assert.ok(shown.includes('Type: http') && shown.includes(`URL: ${HOSTED}`), shown);
    },
    vendor: 'anthropic', handed: 'structure',
    ask: () => ['-p', 'Go on.', '--allowedTools', TOOLS.map((tool) => `mcp__braingrid__${tool}`).join(',')],
    model: (url) => ({ ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: 'none', ENABLE_TOOL_SEARCH: 'false' }),
    tasks() { return tryTasks(this.program[0], options); },
  },
  {
    name: 'codex', program: [process.execPath, join(modules, '@openai/codex/bin/codex.js')],
    async local(run) {
      const { transport, enabled } = JSON.parse(await run('mcp', 'get', 'braingrid', '--json'));
      assert.deepEqual([transport.type, transport.command, enabled], ['stdio', options.server, true]);
      assert.ok(transport.env_vars.includes('BRAINGRID_API_TOKEN'));
    },
    async hosted(run) {
      const { transport } = JSON.parse(await run('mcp', 'get', 'braingrid', '--json'));
      assert.deepEqual([transport.type, transport.url], ['streamable_http', HOSTED]);
    },
    // A model that Codex knows gets its tools as functions of a script, whose result is the whole answer.
    vendor: 'openai', handed: 'structure',
    ask: (url) => [
      'exec', '--skip-git-repo-check', '-m', 'any', '-c', 'model_provider="stub"', '-c',
      `model_providers.stub={name="stub",base_url="${url}/v1",wire_api="responses",env_key="STUB_KEY"}`, 'Go on.',
    ],
    model: () => ({ STUB_KEY: 'none' }),
  },
  {
    name: 'gemini', program: [process.execPath, join(modules, '@google/gemini-cli/bundle/gemini.js')],
    async local(run) {
      const shown = await run('mcp', 'list');
      assert.ok(shown.includes(`braingrid: ${options.server}`) && /Connected/.test(shown), shown);
    },
    async hosted(run) {
      const shown = await run('mcp', 'list');
      assert.ok(shown.includes(`braingrid: ${HOSTED} (http)`), shown);
    },
    vendor: 'google', handed: 'text',
    ask: () => ['-p', 'Go on.', '-m', 'gemini-2.5-pro', '--yolo'],
    model: (url) => ({ GEMINI_API_KEY: 'none', GOOGLE_GEMINI_BASE_URL: url }),
  },
];

let failed = 0;
for (const client of CLIENTS) {
  const home = mkdtempSync(join(realpathSync(tmpdir()), 'clients-'));
  const began = Date.now();
  try {
    await tryOut(client, home);
    const did = `reads, starts and loses the server, hands on the ${client.handed} of its answers`;
    console.error(`ok       ${client.name}: ${did} (${Date.now() - began} ms)`);
    if (client.tasks) {
      const asked = Date.now();
      await client.tasks();
      console.error(`ok       ${client.name}: a task at a terminal, none without (${Date.now() - asked} ms)`);
    }
  } catch (error) {
    if (error.skip && !options.strict) {
      console.error(`SKIPPED  ${client.name}: ${error.message}`);
    } else {
      failed += 1;
      console.error(`FAILED   ${client.name}: ${error.message}`);
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}
process.exitCode = failed > 0 ? 1 : 0;

async function tryOut(client, home) {
  const project = join(home, 'project');
  mkdirSync(project);
  // Gemini CLI starts nothing in a folder that nobody vouched for.
  mkdirSync(join(home, '.gemini'));
  writeFileSync(join(home, '.gemini/trustedFolders.json'), JSON.stringify({ [project]: 'TRUST_FOLDER' }));
  const key = { security: { auth: { selectedType: 'gemini-api-key' } } };
  writeFileSync(join(home, '.gemini/settings.json'), JSON.stringify(key));
  const env = {
    PATH: process.env.PATH, HOME: home, DISABLE_AUTOUPDATER: '1', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  };
  const start = (program, words, more = {}) => new Promise((resolve, reject) => {
    const how = { env: { ...env, ...more }, cwd: project, timeout: 60_000 };
    const child = execFile(program, words, how, (error, stdout, stderr) => {
      if (error) reject(new Error(`${words.join(' ')}: ${error.message}\n${stdout}${stderr}`));
      else resolve({ stdout, all: `${stdout}${stderr}` });
    });
    child.stdin.end();
  });
  const [program, ...first] = client.program;
  const run = async (...words) => {
    const { stdout, all } = await start(program, [...first, ...words]);
    return words.includes('--json') ? stdout : all;
  };
  const ours = (...words) => start(options.server, words);

  await run('mcp', 'list').catch((error) => { throw Object.assign(error, { skip: true }); });
  await ours('install', client.name, '--yes');
  await client.local(run);
  const model = await startModel(client.vendor, TOOLS);
  try {
    await start(program, [...first, ...client.ask(model.url)], client.model(model.url));
  } finally {
    model.stop();
  }
  checkHanded(client, model.handed.map((handed) => JSON.stringify(handed)));
  await ours('install', client.name, '--remote', HOSTED, '--yes');
  await client.hosted(run);
  await ours('uninstall', client.name, '--yes');
  const rest = await run('mcp', 'list');
  assert.ok(!rest.includes('braingrid'), rest);
}

/// Whether the model got of an answer what it got of this client when this was written: the text and the
/// structure of `info` say the same in different words. An error has no structure.
function checkHanded(client, [result, error]) {
  const has = { text: /Default project/.test(result), structure: /\bversion\b/.test(result) };
  const handed = Object.keys(has).filter((part) => has[part]).join(' and ');
  assert.equal(handed, client.handed, `the model is handed something else than before: ${result}`);
  assert.match(error, /BRAINGRID_API_TOKEN/, error);
}
