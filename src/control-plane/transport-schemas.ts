// How one upstream is reached, as an operator writes it: TLS, egress proxy and limits of its own.

import * as z from 'zod';
import { callTimeout, checkedBy, condition, count, milliseconds, secretName } from './schema-parts.ts';

const DNS_NAME = /^(?=.{1,253}$)(?!.*\.\d+$)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*$/;

function findProxyProblem(text: string): string | undefined {
  // Nothing of the URL but host and port is used, and `new URL` would forgive too much of the rest.
  if (!/^https?:\/\/[\x21-\x5b\x5d-\x7e]+$/i.test(text) || !URL.canParse(text))
    return 'is not the URL of a proxy: write it like http://proxy.example.com:3128';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '')
    return 'holds a user name or password: store them as a secret and name it in proxy_secret';
  if (url.protocol !== 'http:') return 'is an https URL, and a proxy is spoken to in plain HTTP: write http://';
  if (url.port === '0') return 'has port 0: write the port the proxy listens on';
  return url.pathname === '/' && url.search === '' && !text.includes('#')
    ? undefined
    : 'holds more than a host and a port: write it like http://proxy.example.com:3128';
}

const file = z.string().min(1, 'is empty: write the path of a file');

export const configTlsSchema = z
  .strictObject({
    ca_file: file
      .optional()
      .describe(
        'PEM file of authorities to trust besides the public ones; a relative path starts at the directory of this file.',
      ),
    client_certificate_file: file
      .optional()
      .describe('PEM file of the certificate, and its chain, that the gateway shows to the upstream (mTLS).'),
    client_key: secretName.optional().describe('The secret that holds the private key of that certificate, in PEM.'),
    server_name: z
      .string()
      .regex(DNS_NAME, 'is not a DNS name: write the name in the certificate of the upstream, such as mcp.internal')
      .optional()
      .describe("The name the upstream's certificate is for, where it is not that of the endpoint."),
  })
  .check(
    condition<{ client_key?: unknown; client_certificate_file?: unknown }>(
      (tls) => (tls.client_key === undefined) === (tls.client_certificate_file === undefined),
      'has one of client_certificate_file and client_key: a client certificate needs both',
    ),
  );

export const proxySchema = z
  .string()
  .max(2048, 'is longer than 2048 characters')
  .check(checkedBy(findProxyProblem))
  .describe('HTTP proxy that connects to the upstream (CONNECT), such as `http://proxy.example.com:3128`.');

export const proxySecretSchema = secretName.describe('The secret sent to the proxy, written as `user:password`.');

export const configLimitsSchema = z.strictObject({
  call_timeout_ms: callTimeout.optional().describe('Longest duration of one call.'),
  connect_timeout_ms: milliseconds().optional().describe('Longest wait for a connection.'),
  header_timeout_ms: milliseconds().optional().describe('Longest wait for the first bytes of an answer.'),
  idle_timeout_ms: milliseconds().optional().describe('Longest silence inside an answer.'),
  connections: count.optional().describe('Most connections with one credential.'),
  calls: count.optional().describe('Most calls in flight with one credential.'),
});
