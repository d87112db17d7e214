// The official Inspector's command line: its strict look at the tools, calls that work, one that does not.

import assert from 'node:assert/strict';
import { deviceFlow, refresh } from './raw.mjs';

const PROGRAM = new URL(
  'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', import.meta.url,
).pathname;

/** How the Inspector ends when a tool answered with an error. */
const TOOL_FAILED = 5;

/** Logs in, for the Inspector's own login wants a person; the second token lives long enough. */
async function tokenFor({ subject, format }, world) {
  const { issuer } = world.provider;
  const resource = world.jwtServer;
  const { client, tokens } = await deviceFlow({
    issuer, resource, subject, clientName: `interop Inspector (${format})`,
  });
  return (await refresh({ issuer, resource, client, tokens })).access_token;
}

function target({ transport }, token, world, options) {
  if (transport === 'HTTP') {
    return ['--server-url', world.jwtServer, '--transport', 'http', '--stored-auth-only',
      '--header', `Authorization: Bearer ${token}`];
  }
  return ['-e', `BRAINGRID_API_TOKEN=${token}`, '-e', `BRAINGRID_API_URL=${world.api}`, options.server];
}

/** Runs the flow and gives its steps; throws what is wrong. */
export async function runInspector(flow, world, options) {
  const where = target(flow, await tokenFor(flow, world), world, options);
  const name = `inspector-${flow.transport}-${flow.era}`.toLowerCase();
  const inspect = async (words, expected = 0) => {
    const { code, printed, complaint } = await world.runProgram(name, process.execPath, [
      PROGRAM, '--cli', ...where, '--protocol-era', flow.era, '--format', 'json', ...words,
    ]);
    assert.equal(code, expected, `${words.join(' ')}: ended with ${code}: ${complaint || printed}`);
    return JSON.parse(printed).result;
  };
  const call = (tool, args, expected) => inspect(
    ['--method', 'tools/call', '--tool-name', tool, '--tool-args-json', JSON.stringify(args)], expected,
  );

  // Strict: ends with an error if any schema is not portable.
  const { tools } = await inspect(['--method', 'tools/list', '--strict']);
  assert.ok(tools.length >= 16, `${tools.length} tools`);
  const projects = await call('list_projects', {});
  assert.deepEqual(projects.structuredContent.projects.map((project) => project.short_id), ['PROJ-1']);
  const created = await call('create_requirement', {
    message: `An idea of ${flow.subject}, long enough`, repositories: 'acme/web',
  });
  const id = created.structuredContent.requirement.short_id;
  assert.match(id, /^REQ-\d+$/);
  const place = { project_id: 'PROJ-1', requirement_id: id };
  const shown = await call('get_project_requirement', place);
  assert.equal(shown.structuredContent.requirement.short_id, id);
  const refused = await call('get_project_requirement', { ...place, requirement_id: 'EPIC-1' }, TOOL_FAILED);
  assert.match(refused.content[0].text, /is an epic/);
  return ['user code', 'token', 'refresh', 'tools/list --strict', 'list_projects', 'create_requirement',
    'get_project_requirement', 'a refused call'];
}
