// What `install` writes is read by the clients themselves: they list the server, start it and talk to
// it, and have it no more after `uninstall`. Each in a home of its own, without a network.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({ options: { server: { type: 'string' }, strict: { type: 'boolean' } } });
const modules = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
const HOSTED = 'http://127.0.0.1:9/mcp';

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
  },
];

let failed = 0;
for (const client of CLIENTS) {
  const home = mkdtempSync(join(realpathSync(tmpdir()), 'clients-'));
  const began = Date.now();
  try {
    await tryOut(client, home);
    console.error(`ok       ${client.name}: reads, starts and loses the server (${Date.now() - began} ms)`);
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
  const env = {
    PATH: process.env.PATH, HOME: home, DISABLE_AUTOUPDATER: '1', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  };
  const start = (program, words) => new Promise((resolve, reject) => {
    const child = execFile(program, words, { env, cwd: project, timeout: 60_000 }, (error, stdout, stderr) => {
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
  await ours('install', client.name, '--remote', HOSTED, '--yes');
  await client.hosted(run);
  await ours('uninstall', client.name, '--yes');
  const rest = await run('mcp', 'list');
  assert.ok(!rest.includes('braingrid'), rest);
}
