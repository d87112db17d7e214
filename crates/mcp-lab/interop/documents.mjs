// Client ID Metadata Documents: the client's own URL says who it is, instead of a registration.
//
// They must be https. A certificate made for this run serves them on the loopback address; this
// process trusts it. oidc-provider refuses loopback addresses to guard against forged URLs, which
// is right everywhere but here: its `fetch` option is where that guard is left out.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import tls from 'node:tls';

/** Starts the server of documents; `unavailable` says why when it cannot. */
export function startDocuments(directory) {
  const certificate = makeCertificate(directory);
  if (!certificate) {
    return { unavailable: 'no openssl to make a certificate with', fetch, close() {} };
  }
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), certificate.cert]);
  const documents = new Map();
  const server = createServer(certificate, (request, response) => {
    const document = documents.get(request.url);
    if (!document) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document));
  });
  const listening = new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    /** A file with the certificate, for others to trust. */
    certificate: certificate.certFile,
    /** Publishes a client and gives its URL, which is its id. */
    async publish(path, clientName, redirectUri = 'http://127.0.0.1:1/callback') {
      await listening;
      const url = `https://127.0.0.1:${server.address().port}${path}`;
      documents.set(path, {
        client_id: url, client_name: clientName, redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
        token_endpoint_auth_method: 'none', application_type: 'native',
      });
      return url;
    },
    fetch(url, { dispatcher, ...request }) {
      return fetch(url, request);
    },
    close: () => server.closeAllConnections() || server.close(),
  };
}

function makeCertificate(directory) {
  const [keyFile, certFile] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  try {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
      '-nodes', '-days', '2', '-subj', '/CN=interop', '-addext', 'subjectAltName=IP:127.0.0.1',
      // Rustls takes no certificate of an authority for that of a server.
      '-addext', 'basicConstraints=critical,CA:FALSE',
      '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return { certFile, key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') };
}
