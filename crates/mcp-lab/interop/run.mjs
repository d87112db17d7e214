// Real clients log in at a certified authorization server and work with the real server.
//
// Usage: node run.mjs --server FILE --stand-ins FILE --python FILE --clients DIRECTORY --logs DIRECTORY [--only WORDS]
//   [--json]

import { parseArgs } from 'node:util';
import { allFlows, run } from './flows.mjs';
import { World } from './world.mjs';

const text = { type: 'string' };
const { values: options } = parseArgs({
  options: { server: text, 'stand-ins': text, python: text, clients: text, logs: text, only: text, json: { type: 'boolean' } },
});
options.standIns = options['stand-ins'];

/** As many clients at once as are useful on a small machine: they mostly wait for their tokens. */
const AT_ONCE = 12;

async function attempt(flow, world) {
  const started = Date.now();
  const seconds = () => Number(((Date.now() - started) / 1000).toFixed(1));
  if (flow.identity === 'document' && world.documents.unavailable) {
    return { ...flow, result: 'skipped', problem: world.documents.unavailable, steps: [], seconds: 0 };
  }
  try {
    return { ...flow, result: 'passed', ...await run(flow, world, options), seconds: seconds() };
  } catch (error) {
    return { ...flow, result: 'failed', problem: error.message, steps: [], seconds: seconds() };
  }
}

async function runAll(flows, world) {
  const results = new Array(flows.length);
  let next = 0;
  const worker = async () => {
    while (next < flows.length) {
      const index = next;
      next += 1;
      results[index] = await attempt(flows[index], world);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

function table(results) {
  const rows = results.map(({ client, protocol, format, identity, steps, result, seconds, problem }) => [
    client, protocol, format, identity, result, `${seconds} s`, problem ?? steps.join(' → '),
  ]);
  const head = ['client', 'protocol', 'token', 'client id by', 'result', 'time', 'steps'];
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  return [head, ...rows]
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()).join('\n');
}

const chosen = allFlows().filter((flow) => Object.values(flow).join(' ').includes(options.only ?? ''));
const world = await World.start(options);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => world.stop().finally(() => process.exit(130)));
}
let results;
try {
  results = await runAll(chosen, world);
} finally {
  await world.stop();
}
const count = (result) => results.filter((each) => each.result === result).length;
console.log(options.json ? JSON.stringify(results) : table(results));
if (!options.json) {
  console.log(`\n${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped; logs: ${options.logs}`);
}
process.exit(count('failed') > 0 || count('passed') === 0 ? 1 : 0);
