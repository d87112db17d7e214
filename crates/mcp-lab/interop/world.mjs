// Everything around the clients: the authorization server, the API stand-in, the server under test.

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { browse } from './browser.mjs';
import { startDocuments } from './documents.mjs';
import { startHanging } from './hanging.mjs';
import { startOwn } from './own.mjs';
import { API_RESOURCE, DEFAULT_SCOPE, startProvider } from './provider.mjs';
import { configureWithoutLogin } from './without-login.mjs';

/** What the server for JWTs lets clients ask for, at an issuer without a preset. */
export const NAMED_SCOPES = ['openid', DEFAULT_SCOPE];
/** How long a revoked token may live on, by configuration. */
export const INTROSPECTION_CACHE = 1;
/** Tolerance for clocks. Long enough that a client which counts from the answer refreshes first. */
export const LEEWAY = 4;

const PATIENCE = 30_000;

/** Asks until the answer is good; throws what was wrong with the last one. */
export async function until(what, question, patience = PATIENCE) {
  const deadline = Date.now() + patience;
  for (;;) {
    const answer = await question().catch(() => undefined);
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${patience / 1000} s: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const { port } = server.address();
  await new Promise((resolve) => { server.close(resolve); });
  return port;
}

export class World {
  #options;
  #children = [];
  #servers = new Map();
  #directory = mkdtempSync(join(tmpdir(), 'interop-'));
  #browsers;
  /** Whose pages the person at the browser goes through. */
  origins = [];
  /** The last address that each subject's client opened. */
  opened = new Map();

  constructor(options) { this.#options = options; }

  static async start(options) {
    const world = new World(options);
    try {
      await world.#start();
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  async #start() {
    mkdirSync(this.#options.logs, { recursive: true });
    this.documents = startDocuments(this.#directory);
    this.provider = await startProvider({
      log: this.#log('issuer'),
      fetchDocument: (url, request) => this.documents.fetch(url, request),
    });
    const { issuer } = this.provider;
    this.origins.push(issuer);
    this.browserUrl = await this.#startBrowser();
    this.api = await this.#startApi();
    this.hanging = await startHanging(this.api);
    const withoutLogin = await configureWithoutLogin(this, 'server-own');
    [this.jwtServer, this.opaqueServer, this.exchangeServer, this.tasksServer, this.ownServer] = await Promise.all([
      this.startServer('server', { OAUTH_ISSUER: issuer, OAUTH_SCOPES: NAMED_SCOPES.join(' ') }),
      this.startServer('server-introspection', { MCP_CONFIG: this.#introspectionFile(issuer) }),
      this.startServer('server-exchange', {
        MCP_CONFIG: this.exchangeFile('exchange', issuer, this.provider.exchanger, 'resource'),
        UPSTREAM_AUDIENCE: '', OAUTH_SCOPES: NAMED_SCOPES.join(' '),
      }),
      this.startServer('server-tasks', { OAUTH_ISSUER: issuer, BRAINGRID_API_URL: this.hanging.url }),
      startOwn(this, 'server-own', { withoutLogin }),
    ]);
  }

  /** Clients post the URL they would open in a browser, and get the one it came back with. */
  async #startBrowser() {
    this.#browsers = createHttp(async (request, response) => {
      let url = '';
      for await (const part of request) url += part;
      const subject = request.url.slice(1);
      this.opened.set(subject, new URL(url));
      try {
        response.end(await browse(url, subject, ...this.origins));
      } catch (error) {
        response.writeHead(502).end(String(error.message));
      }
    });
    await new Promise((resolve) => { this.#browsers.listen(0, '127.0.0.1', resolve); });
    return `http://127.0.0.1:${this.#browsers.address().port}`;
  }

  async #startApi() {
    const port = await freePort();
    const { id, secret } = this.provider.introspector;
    const endpoint = new URL('/token/introspection', this.provider.issuer);
    Object.assign(endpoint, { username: id, password: secret });
    this.#spawn('api', this.#options.standIns, ['api', '--port', port, '--introspect', endpoint.href]);
    const url = `http://127.0.0.1:${port}`;
    await until('the API stand-in answers', async () => (await fetch(`${url}/__stand-in/requests`)).ok);
    return url;
  }

  /** Starts the server under test; its resource. */
  async startServer(name, environment, chosen = undefined) {
    const port = chosen ?? await freePort();
    const origin = `http://127.0.0.1:${port}`;
    const resource = `${origin}/mcp`;
    this.provider.resources.add(resource);
    const { MCP_CONFIG: file, ...rest } = environment;
    const child = this.#spawn(name, this.#options.server, file ? ['--config', file] : [], {
      MCP_TRANSPORT: 'http', PORT: port, UPSTREAM_AUDIENCE: resource, BRAINGRID_API_URL: this.api,
      OAUTH_LEEWAY: `${LEEWAY}s`, LOG_LEVEL: 'debug', LOG_FORMAT: 'json', ...rest,
    });
    this.#servers.set(resource, child);
    await until(`${name} is ready`, async () => (await fetch(`${origin}/ready`)).ok);
    return resource;
  }

  /** Ends the server of this resource, and with it all that it kept. */
  async stopServer(resource) {
    const child = this.#servers.get(resource);
    child.kill('SIGTERM');
    await ended(child);
  }

  /** A file of the run's own, for nobody else's eyes; its name. */
  write(name, text) {
    const file = join(this.#directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }

  #introspectionFile(issuer) {
    const { id, secret } = this.provider.introspector;
    const file = join(this.#directory, 'braingrid-mcp.toml');
    writeFileSync(join(this.#directory, 'secret'), secret, { mode: 0o600 });
    writeFileSync(file, `
[[issuers]]
issuer = "${issuer}"
introspection_endpoint = "${issuer}/token/introspection"
introspection_client_id = "${id}"
introspection_client_secret_file = "secret"
introspection_cache = "${INTROSPECTION_CACHE}s"
`);
    return file;
  }

  /** Settings for an issuer that exchanges tokens, and reads the name of the API from this parameter. */
  exchangeFile(name, issuer, { id, secret }, parameter) {
    const file = join(this.#directory, `${name}.toml`);
    writeFileSync(join(this.#directory, `${name}-secret`), secret, { mode: 0o600 });
    writeFileSync(file, `
[[issuers]]
issuer = "${issuer}"

[issuers.upstream]
mode = "exchange"
${parameter} = "${API_RESOURCE}"
client_id = "${id}"
client_secret_file = "${name}-secret"
`);
    return file;
  }

  #log(name) {
    const file = createWriteStream(join(this.#options.logs, `${name}.log`));
    return (line) => file.write(`${new Date().toISOString()} ${line}\n`);
  }

  #spawn(name, program, words, environment = {}) {
    const file = createWriteStream(join(this.#options.logs, `${name}.log`));
    const child = spawn(program, words.map(String), {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...strings(environment) },
      cwd: this.#directory, stdio: ['ignore', 'pipe', 'pipe'],
    });
    // Both end in one file, which ends when both have: not with whichever is first.
    child.stdout.pipe(file, { end: false });
    child.stderr.pipe(file, { end: false });
    child.on('close', () => file.end());
    child.on('error', (error) => file.write(String(error)));
    this.#children.push(child);
    return child;
  }

  /** Starts a program that goes on; the first line that it prints. */
  async startPrinting(name, program, words) {
    const child = this.#spawn(name, program, words);
    let printed = '';
    child.stdout.on('data', (part) => { printed += part; });
    await until(`${name} prints a line`, async () => printed.includes('\n'));
    return printed.split('\n')[0];
  }

  /** A folder of the run's own. */
  folder(name) {
    return join(this.#directory, name);
  }

  /** Runs a program to its end; `watch` sees what it has written to standard error so far. */
  async runProgram(name, program, words, environment, watch = () => {}) {
    const child = this.#spawn(name, program, words, { HOME: this.#directory, ...environment });
    let printed = '';
    let complaint = '';
    child.stdout.on('data', (part) => { printed += part; });
    child.stderr.on('data', (part) => { complaint += part; watch(complaint); });
    const limit = setTimeout(() => child.kill('SIGKILL'), 120_000);
    const code = await new Promise((resolve) => { child.on('close', resolve); child.on('error', resolve); });
    clearTimeout(limit);
    return { code, printed, complaint };
  }

  /** Runs a client to its end and gives the one line of JSON it prints. */
  async runClient(name, program, script, options) {
    const { code, printed, complaint } = await this.runProgram(name, program, [script, JSON.stringify(options)]);
    if (code !== 0) throw new Error(`the client ended with ${code}: ${lastError(complaint)}`);
    return JSON.parse(printed);
  }

  /** What the API was asked by this subject. */
  async askedBy(subject) {
    const { requests } = await (await fetch(`${this.api}/__stand-in/requests`)).json();
    return requests.filter((request) => request.subject === subject);
  }

  async stop() {
    for (const child of this.#children) child.kill('SIGTERM');
    await Promise.all(this.#children.map(ended));
    this.#browsers?.close();
    this.hanging?.close();
    this.documents?.close();
    this.provider?.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function ended(child) {
  return child.exitCode ?? child.signalCode ?? new Promise((resolve) => { child.on('close', resolve); });
}

function strings(environment) {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)]));
}

/** The line of a stack trace that says what happened. */
function lastError(text) {
  const lines = text.trim().split('\n').filter((line) => /error/i.test(line) && !/^\s+at /.test(line));
  return (lines.at(-1) ?? text.slice(-300)).trim();
}
