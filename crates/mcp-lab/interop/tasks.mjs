// The official package for tasks (SEP-2663): a call that takes minutes is a task, any other is answered
// at once, by one and the same call.

import assert from 'node:assert/strict';
import { HANGS } from './hanging.mjs';
import { deviceFlow, refresh } from './raw.mjs';
import { until } from './world.mjs';

const SCRIPT = new URL('tasks-client.mjs', import.meta.url).pathname;

/** `Invalid params`: what a task that is not there is answered. */
const NO_SUCH_TASK = -32602;

/** Runs the flow and gives its steps; throws what is wrong. */
export async function runTasks({ subject, format, protocol, legacy }, world) {
  const { issuer } = world.provider;
  const resource = world.tasksServer;
  const { client, tokens } = await deviceFlow({
    issuer, resource, subject, clientName: `interop tasks (${format})`,
  });
  const token = (await refresh({ issuer, resource, client, tokens })).access_token;
  const idea = (message) => ({ message, repositories: 'acme/web' });
  const result = await world.runClient(`tasks-${protocol}`, process.execPath, SCRIPT, {
    url: resource, token, legacy,
    requirement: idea(`An idea of ${subject}, long enough`),
    hanging: idea(`An idea of ${subject}, ${HANGS}`),
  });
  assert.equal(result.protocol, protocol, 'the protocol version');
  const { complaints, projects, created, tasks } = result;
  assert.deepEqual(complaints, []);
  assert.equal(projects.kind, 'immediate');
  assert.deepEqual(projects.structuredContent.projects.map((project) => project.short_id), ['PROJ-1']);
  assert.equal(created.isError, false);
  assert.match(created.structuredContent.requirement.short_id, /^REQ-\d+$/);
  const steps = ['user code', 'token', 'refresh', 'list_projects'];
  assert.equal(created.kind, 'task');
  assert.ok(created.taskId, 'the id of the task');
  assert.deepEqual([created.states.at(0), created.states.at(-1)], ['working', 'completed']);
  assert.deepEqual(tasks.again, created.structuredContent, 'the same result again');
  assert.equal(tasks.snapshot.taskId, created.taskId);
  assert.equal(tasks.snapshot.status, 'completed');
  assert.deepEqual(tasks.hanging,
    { kind: 'task', before: 'working', after: 'cancelled', outcome: 'cancelled' });
  await until('the server gives up what was cancelled', async () => world.hanging.left(subject) === 1);
  assert.equal(tasks.unknown, NO_SUCH_TASK);
  if (legacy) assert.deepEqual(tasks.listed, [created.taskId], 'the list of tasks');
  return [...steps, 'create_requirement as a task', 'its result again', legacy ? 'the list' : 'update',
    'resume', 'cancel', 'an unknown task'];
}
