// Stands between a client and its server over stdio, and writes down what both say.
//
// Usage: node wire.mjs FILE PROGRAM [WORD…]

import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [file, program, ...words] = process.argv.slice(2);
const server = spawn(program, words, { stdio: ['pipe', 'pipe', 'ignore'] });
const pass = (from, to) => {
  createInterface({ input: from }).on('line', (line) => {
    appendFileSync(file, `${line}\n`);
    to.write(`${line}\n`);
  });
};
pass(process.stdin, server.stdin);
pass(server.stdout, process.stdout);
process.stdin.on('end', () => server.stdin.end());
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.kill(signal));
server.on('close', (code) => process.exit(code ?? 1));
