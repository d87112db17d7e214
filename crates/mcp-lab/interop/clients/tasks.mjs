// Claude Code and a call that takes minutes. At a terminal it declares tasks (SEP-2663), without one
// (`-p`) it does not: what each sends, and what its model is handed in the end.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startModel } from './model.mjs';

const TOOL = 'create_requirement';
const TASKS = 'io.modelcontextprotocol/tasks';
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';
const PATIENCE = 90_000;
const here = (file) => new URL(file, import.meta.url).pathname;
const pause = (time) => new Promise((resolve) => { setTimeout(resolve, time); });

async function until(what, holds) {
  const deadline = Date.now() + PATIENCE;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE / 1000} s: ${what()}`);
    await pause(100);
  }
}

/** Runs all of it with this program of Claude Code. */
export async function tryTasks(claude, { server, 'stand-ins': standIns }) {
  const home = mkdtempSync(join(realpathSync(tmpdir()), 'tasks-'));
  const api = await startApi(standIns);
  const world = { claude, server, home, api, runs: 0 };
  mkdirSync(join(home, 'project'));
  writeFileSync(join(home, '.claude.json'), JSON.stringify({
    hasCompletedOnboarding: true,
    customApiKeyResponses: { approved: ['none'], rejected: [] },
    projects: { [join(home, 'project')]: { hasTrustDialogAccepted: true } },
  }));
  try {
    await withoutTerminal(world);
    await atTerminal(world);
    await again(world);
    await stopped(world);
  } finally {
    await api.stop();
    rmSync(home, { recursive: true, force: true });
  }
}

/** No tasks: progress is the sign of life, and the answer is what the model is handed. */
async function withoutTerminal(world) {
  const seen = await call(world, 'Let shoppers pay by invoice.', printed, (wire) => of(wire, 'notifications/progress').length > 0);
  const [asked] = of(seen.wire, 'tools/call');
  assert.equal(asked.params._meta[CAPABILITIES].extensions, undefined, 'tasks without a terminal');
  assert.ok(asked.params._meta.progressToken, 'it asks for progress');
  assert.equal(answer(seen.wire, asked).resultType, 'complete');
  assert.match(seen.handed.at(-1), /Created in PROJ-1/);
  assert.match(seen.handed.at(-1), /REQ-2/);
}

/** A task: it is asked for until it is over, and the model is told of its end. */
async function atTerminal(world) {
  const polled = (wire) => of(wire, 'tasks/get').some((get) => answer(wire, get)?.status === 'working');
  const seen = await call(world, 'Let shoppers pay by card.', typed, polled);
  const [asked] = of(seen.wire, 'tools/call');
  assert.deepEqual(asked.params._meta[CAPABILITIES].extensions, { [TASKS]: {} });
  const task = answer(seen.wire, asked);
  assert.deepEqual([task.resultType, task.status], ['task', 'working']);
  const polls = of(seen.wire, 'tasks/get');
  assert.ok(polls.every((get) => get.params.taskId === task.taskId));
  const states = polls.map((get) => answer(seen.wire, get).status);
  assert.deepEqual([states.at(0), states.at(-1)], ['working', 'completed'], String(states));
  assert.match(seen.handed.at(0), new RegExp(`started server-side task ${task.taskId}`));
  assert.match(seen.said, /<task-notification>.*<status>completed<\/status>.*<result>.*Created in PROJ-1.*REQ-3/s);
}

/** The same call in another process of client and server: what the task made is shown. */
async function again(world) {
  const seen = await call(world, 'Let shoppers pay by card.', printed, () => true);
  assert.match(seen.handed.at(-1), /It was not done twice/);
  assert.match(seen.handed.at(-1), /REQ-3/);
  assert.equal(world.api.created(), 2, 'one requirement for each idea');
}

/** The model stops a task: the request to the API ends while all others still run. */
async function stopped(world) {
  const stop = { name: 'TaskStop', input: (handed) => ({ task_id: taskOf(handed) }) };
  const over = (model) => model.handed.length === 2 && world.api.abandoned() === 1;
  const seen = await call(world, 'Let shoppers pay in cash.', typed, () => false, { stop, over });
  const { taskId } = answer(seen.wire, of(seen.wire, 'tools/call')[0]);
  assert.equal(of(seen.wire, 'tasks/cancel')[0].params.taskId, taskId);
  assert.match(seen.handed.at(1), /is stopped/);
}

/** The client's own name for the task that a call was moved to. */
function taskOf(handed) {
  return JSON.stringify(handed).match(/TaskStop with task_id \W+(\w+)/)?.[1];
}

/** Whether the model was told of the end of a task. */
function isNotified(model) {
  return model.said.includes('</task-notification>');
}

/**
 * Has the model make the call, whose request the API holds until `ready` says so of what was sent, and then
 * what else it is to do; a terminal is closed when it is `over`.
 */
async function call(world, message, start, ready, { stop, over = isNotified } = {}) {
  world.runs += 1;
  const file = join(world.home, `wire-${world.runs}`);
  const wire = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map(read) : []);
  const config = join(world.home, 'mcp.json');
  writeFileSync(config, JSON.stringify({ mcpServers: { braingrid: {
    command: process.execPath, args: [here('wire.mjs'), file, world.server],
    env: { BRAINGRID_API_TOKEN: TOKEN, BRAINGRID_API_URL: world.api.url, BRAINGRID_LOGIN_STORE: 'file' },
  } } }));
  world.api.hold(() => ready(wire()));
  const create = { name: TOOL, input: { project_id: 'PROJ-1', message } };
  const model = await startModel('anthropic', stop ? [create, stop] : [create]);
  const env = {
    PATH: process.env.PATH, HOME: world.home, TERM: 'xterm-256color', DISABLE_AUTOUPDATER: '1',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: 'none', ENABLE_TOOL_SEARCH: 'false',
  };
  const words = ['Go on.', '--mcp-config', config, '--strict-mcp-config', '--allowedTools', `mcp__braingrid__${TOOL}`];
  try {
    await start(world.claude, words, { env, cwd: join(world.home, 'project') }, () => over(model), model);
  } finally {
    model.stop();
  }
  return { wire: wire(), said: model.said, handed: model.handed.map((handed) => JSON.stringify(handed)) };
}

function printed(claude, words, how) {
  return new Promise((resolve, reject) => {
    const child = execFile(claude, ['-p', ...words], { ...how, timeout: PATIENCE }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stdout}${stderr}`));
      else resolve();
    });
    child.stdin.end();
  });
}

async function typed(claude, words, how, over, model) {
  const child = spawn('python3', [here('terminal.py'), claude, ...words], { ...how, stdio: ['pipe', 'pipe', 'inherit'] });
  let screen = '';
  child.stdout.on('data', (part) => { screen += part; });
  const what = () => `the model hears what it is to hear: ${screen.slice(-500)}`;
  try {
    let missed = 0;
    await until(what, () => {
      // The server comes while the model is asked already: until its tools are offered, once more.
      if (model.missed > missed) {
        missed = model.missed;
        pause(1_000).then(() => child.stdin.write('Go on.')).then(() => pause(500)).then(() => child.stdin.write('\r'));
      }
      return over();
    });
  } finally {
    const ended = new Promise((resolve) => { child.on('close', resolve); });
    child.stdin.end();
    await ended;
  }
}

function read(line) {
  return JSON.parse(line);
}

/** The messages of this method. */
function of(wire, method) {
  return wire.filter((message) => message.method === method);
}

function answer(wire, { id }) {
  return wire.find((message) => message.id === id && message.method === undefined)?.result;
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
/** Whose signature nobody here looks at: the stand-in of the API reads its claims. */
const TOKEN = [part({ alg: 'none' }), part({ sub: 'ada', org_id: 'org_ada' }), 'x'].join('.');

/** The API, in front of which a requirement waits as long as it is held. */
async function startApi(standIns) {
  const api = spawn(standIns, ['api'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const url = await new Promise((resolve, reject) => {
    let text = '';
    api.stdout.on('data', (chunk) => {
      text += chunk;
      const [found] = text.match(/http:\/\/127\.0\.0\.1:\d+/) ?? [];
      if (found) resolve(found);
    });
    api.on('close', () => reject(new Error(`the stand-in of the API has ended: ${text}`)));
  });
  let ready = () => true;
  let created = 0;
  let abandoned = 0;
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const chunk of request) parts.push(chunk);
    if (request.url.endsWith('/specify')) {
      const left = () => response.destroyed;
      await until(() => 'the call is seen', () => left() || ready()).catch(() => response.destroy());
      if (left()) {
        abandoned += 1;
        return;
      }
      created += 1;
    }
    const { method, headers } = request;
    const passed = ask(new URL(request.url, url), { method, headers }, (answered) => {
      response.writeHead(answered.statusCode, answered.headers);
      answered.pipe(response);
    });
    passed.on('error', () => response.destroy());
    passed.end(Buffer.concat(parts));
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    hold(until) { ready = until; },
    created: () => created,
    abandoned: () => abandoned,
    async stop() {
      server.close();
      server.closeAllConnections();
      const ended = new Promise((resolve) => { api.on('close', resolve); });
      api.kill();
      await ended;
    },
  };
}
