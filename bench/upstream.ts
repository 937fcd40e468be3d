// The upstream behind every benchmark target: an MCP server on node:http that costs as little as it can.
// It finds the request's id by native search and splices it behind a prepared result; only rare messages are parsed.
// It checks nothing (no headers, no tool names): test/support/recording-upstream.ts is the strict one.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    era: { type: 'string', default: 'legacy' },
    tools: { type: 'string', default: '10' },
    'result-bytes': { type: 'string', default: '200' },
  },
});
const isModern = options.era === 'modern';

const SERVER_INFO = '{"name":"bench-upstream","version":"1"}';
const MODERN_META = `"_meta":{"io.modelcontextprotocol/serverInfo":${SERVER_INFO}}`;
const MODERN_CACHEABLE = `"resultType":"complete","ttlMs":3600000,"cacheScope":"public",${MODERN_META}`;

const CALL_RESULT = callResult(Number(options['result-bytes']));
const LIST_RESULT = `{"tools":[${toolObjects(Number(options.tools))}]${isModern ? `,${MODERN_CACHEABLE}` : ''}}`;
const DISCOVER_RESULT = `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},${MODERN_CACHEABLE}}`;
const NOT_INITIALIZED =
  '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}';

let callCount = 0;

/** A result of `bytes` bytes or a little more; its text is ASCII, so that a latin1 string is the wire form. */
function callResult(bytes: number): string {
  const head = '{"content":[{"type":"text","text":"bench result ';
  const tail = isModern ? `"}],"resultType":"complete",${MODERN_META}}` : '"}]}';
  return head + 'x'.repeat(Math.max(0, bytes - head.length - tail.length)) + tail;
}

function toolObjects(count: number): string {
  const schema = '{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}';
  const names = Array.from({ length: count }, (_, index) => (index === 0 ? 'echo' : `tool_${index}`));
  return names
    .map((name) => `{"name":"${name}","description":"Answers with a fixed text","inputSchema":${schema}}`)
    .join();
}

/** The JSON text of the request's id, or `undefined` for a notification. `body` is latin1, the text is copied as it came. */
function idText(body: string): string | undefined {
  const key = body.indexOf('"id":');
  // An `"id":` inside the arguments as well, a space or an escape, is too rare to be worth more than a parse.
  if (key < 0 || key !== body.lastIndexOf('"id":')) return parsedIdText(body);
  const start = key + 5;
  if (body[start] === '"') {
    const text = body.slice(start, body.indexOf('"', start + 1) + 1);
    return text.includes('\\') ? parsedIdText(body) : text;
  }
  if (body[start] === ' ') return parsedIdText(body);
  const comma = body.indexOf(',', start);
  const brace = body.indexOf('}', start);
  return body.slice(start, comma < 0 || brace < comma ? brace : comma);
}

function parsedIdText(body: string): string | undefined {
  return JSON.stringify((JSON.parse(body) as { id?: string | number }).id);
}

// One latin1 string lets node:http send head and body in a single write.
function send(response: ServerResponse, status: number, json: string): void {
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': json.length });
  response.end(json, 'latin1');
}

function sendResult(response: ServerResponse, body: string, result: string): void {
  send(response, 200, `{"result":${result},"jsonrpc":"2.0","id":${idText(body)}}`);
}

function answer(response: ServerResponse, body: string): void {
  if (body.includes('"tools/call"')) {
    callCount++;
    sendResult(response, body, CALL_RESULT);
  } else {
    answerRare(response, body, JSON.parse(body) as Message);
  }
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly protocolVersion?: string };
}

function answerRare(response: ServerResponse, body: string, message: Message): void {
  if (message.id === undefined) {
    response.writeHead(202).end();
  } else if (message.method === 'tools/list') {
    sendResult(response, body, LIST_RESULT);
  } else if (message.method === 'initialize') {
    const version = JSON.stringify(message.params?.protocolVersion);
    sendResult(
      response,
      body,
      `{"protocolVersion":${version},"capabilities":{"tools":{}},"serverInfo":${SERVER_INFO}}`,
    );
  } else if (message.method === 'ping') {
    sendResult(response, body, '{}');
  } else if (message.method === 'server/discover' && isModern) {
    sendResult(response, body, DISCOVER_RESULT);
  } else if (message.method === 'server/discover') {
    send(response, 400, NOT_INITIALIZED);
  } else {
    const error = '{"code":-32601,"message":"Method not found"}';
    send(response, isModern ? 404 : 200, `{"jsonrpc":"2.0","id":${idText(body)},"error":${error}}`);
  }
}

const server = createServer((request, response) => {
  if (request.method !== 'POST') {
    // The benchmark compares this count with the answers it got: a target that answers without calling is found out.
    if (request.url === '/calls') send(response, 200, String(callCount));
    else response.writeHead(405, { allow: 'POST' }).end();
    return;
  }
  let body = '';
  request.setEncoding('latin1');
  request.on('data', (chunk: string) => {
    body += chunk;
  });
  request.on('end', () => answer(response, body));
});

// Longer than any pause between two rounds: a connection closed while idle would count as a target's error.
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
});
