// Who a browser meets in a login: the pages' server, a provider with a login of its own elsewhere, and a
// client's loopback address. Each has a port, and so an origin, of its own.

import { createServer } from 'node:http';

/** Starts all of them; `pages` is what `examples/pages.rs` prints. */
export async function startSite(pages) {
  const site = { decisions: [], reached: [], redirectTo: null, policy: null };
  const redirect = (response, status, location) => response.writeHead(status, { location }).end();

  const ours = await listen((request, response) => {
    const { pathname } = new URL(request.url, 'http://ours');
    const page = pages.find(({ name }) => pathname === `/${name}`);
    if (page) {
      const headers = new Headers(page.headers);
      if (site.policy) headers.set('content-security-policy', site.policy(headers.get('content-security-policy')));
      response.writeHead(page.status, Object.fromEntries(headers)).end(page.body);
    } else if (pathname === '/authorize' && request.method === 'POST') {
      let body = '';
      request.on('data', (part) => { body += part; }).on('end', () => {
        site.decisions.push({ origin: request.headers.origin, ...Object.fromEntries(new URLSearchParams(body)) });
        const allowed = body.includes('decision=allow');
        redirect(response, 303, allowed ? `${provider.origin}/authorize` : site.redirectTo);
      });
    } else if (pathname === '/callback') {
      redirect(response, 302, site.redirectTo);
    } else {
      response.writeHead(404).end();
    }
  });
  const provider = await listen((request, response) => redirect(response, 302, `${employer.origin}/login`));
  const employer = await listen((request, response) => redirect(response, 302, `${ours.origin}/callback`));
  const client = await listen((request, response) => {
    site.reached.push(request.url);
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Client</title>');
  });

  return Object.assign(site, {
    origin: ours.origin,
    client: client.origin,
    stop() {
      for (const { server } of [ours, provider, employer, client]) server.closeAllConnections() || server.close();
    },
  });
}

async function listen(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}
