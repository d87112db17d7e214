// The BrainGrid API with a request in it that is never answered: what has the words in its body hangs
// until whoever asked goes away, everything else is passed on.

import { createServer, request as ask } from 'node:http';

/** What makes a request hang. */
export const HANGS = 'never to be answered';

/** Starts it before the API at this URL. */
export async function startHanging(api) {
  const left = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts);
    if (body.includes(HANGS)) {
      response.on('close', () => { left.push(body.toString()); });
      return;
    }
    const { method, headers } = request;
    const passed = ask(new URL(request.url, api), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    passed.end(body);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** How many that hung with these words were given up by the server. */
    left: (words) => left.filter((body) => body.includes(words)).length,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
