// One user's session with the official package for tasks, on the official TypeScript client. Options
// come as JSON on the command line, the result goes to stdout as JSON; see tasks.mjs for both.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createTaskSessionFromClient, resultFromTaskOutcome } from '@modelcontextprotocol/ext-tasks/client';

const options = JSON.parse(process.argv[2]);
/** In 2025-11-25 it is the client that asks for a task. */
const AS_TASK = options.legacy ? { task: { preference: 'prefer' } } : {};
const INFO = { name: 'interop tasks', version: '1' };
/** What the package did not like, and went on. */
const complaints = [];

/**
 * The package wants its requests sent as they are, past the client, which knows no tasks. They go
 * through the client's own transport, which makes the headers; its answers are told by their ids.
 */
function dispatcher(transport) {
  const waiting = new Map();
  const others = transport.onmessage;
  transport.onmessage = (message, extra) => {
    const answered = message.method === undefined && waiting.get(message.id);
    if (!answered) return others?.(message, extra);
    waiting.delete(message.id);
    answered(message.error ? { kind: 'error', error: message.error } : { kind: 'result', result: message.result });
  };
  let sent = 0;
  return async (request, { signal } = {}) => {
    sent += 1;
    const id = `task-request-${sent}`;
    const answer = new Promise((resolve) => { waiting.set(id, resolve); });
    await transport.send({ jsonrpc: '2.0', id, ...request }, { requestSignal: signal });
    return answer;
  };
}

async function connect() {
  const client = new Client(INFO, { versionNegotiation: { mode: options.legacy ? 'legacy' : 'auto' } });
  const transport = new StreamableHTTPClientTransport(new URL(options.url), {
    requestInit: { headers: { authorization: `Bearer ${options.token}` } },
  });
  await client.connect(transport);
  const protocolVersion = client.getNegotiatedProtocolVersion();
  const raw = options.legacy ? {} : {
    rawDispatch: dispatcher(transport),
    v2RequestFraming: { protocolVersion, clientInfo: INFO, clientCapabilities: {} },
  };
  const session = createTaskSessionFromClient(client, {
    endpointId: 'interop', onError: (error) => { complaints.push(error.message); }, ...raw,
  });
  const close = async () => { await session.close(); await client.close(); };
  return { session, protocolVersion, close };
}

/** What is worth telling of a call that is over. */
async function settled(execution) {
  const states = [];
  const { outcome } = await execution.settle({
    onEvent: (event) => { if (event.type === 'task') states.push(event.task.status); },
  });
  const { structuredContent, isError } = resultFromTaskOutcome(outcome);
  return { kind: execution.kind, taskId: execution.handle?.taskId, states, structuredContent, isError };
}

/** What only a session with tasks can do. */
async function withTasks(session, created) {
  const { taskId } = created;
  // Again by its id, and what it said; then by the reference that a host keeps for later.
  const again = await session.task(taskId).result();
  const snapshot = await session.task(taskId).snapshot();
  if (!options.legacy) await session.task(taskId).update({});
  const listed = options.legacy ? (await session.listTasks()).tasks.map((task) => task.taskId) : undefined;

  const hanging = await session.callTool('create_requirement', options.hanging, AS_TASK);
  const reference = hanging.serializeReference();
  await hanging.detach();
  const elsewhere = await connect();
  const resumed = await elsewhere.session.resumeTask(reference);
  const before = await session.task(resumed.handle.taskId).snapshot();
  await resumed.cancel();
  const cancelled = await session.task(resumed.handle.taskId).result();
  const outcome = await resumed.result();
  await elsewhere.close();

  const unknown = await session.task('no-such-task').snapshot().then(() => undefined, (error) => error.code);
  return {
    again: resultFromTaskOutcome(again).structuredContent, snapshot, listed,
    hanging: { kind: hanging.kind, before: before.status, after: cancelled.status, outcome: outcome.status },
    unknown,
  };
}

const { session, protocolVersion, close } = await connect();
const projects = await settled(await session.callTool('list_projects', {}));
const created = await settled(await session.callTool('create_requirement', options.requirement, AS_TASK));
const tasks = session.capabilities.execution ? await withTasks(session, created) : undefined;
await close();
console.log(JSON.stringify({ protocol: protocolVersion, complaints, projects, created, tasks }));
