// nginx and HAProxy as pure byte proxies: one worker, connections kept open on both sides, nothing logged.

import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Child, startChild } from './children.ts';

/** Where the program is, also outside of the search path of users, where Debian keeps servers. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

export async function startNginx(upstreamUrl: string, directory: string): Promise<Child> {
  const port = await freePort();
  const config = join(directory, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `  ${name}_temp_path ${join(directory, name)};`,
  );
  writeFileSync(
    config,
    `daemon off;
${userInfo().uid === 0 ? `user ${userInfo().username};\n` : ''}worker_processes 1;
pid ${join(directory, 'nginx.pid')};
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off;
${temporary.join('\n')}
  client_max_body_size 0;
  keepalive_requests 1000000000;
  upstream mcp { server ${new URL(upstreamUrl).host}; keepalive 1024; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_max_temp_file_size 0;
    }
  }
}
`,
  );
  const program = findProgram('nginx') ?? 'nginx';
  return startChild({ program, args: ['-e', 'stderr', '-p', directory, '-c', config], port });
}

export async function startHaproxy(upstreamUrl: string, directory: string): Promise<Child> {
  const port = await freePort();
  const config = join(directory, 'haproxy.cfg');
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  http-reuse always
frontend agents
  bind 127.0.0.1:${port}
  default_backend mcp
backend mcp
  server one ${new URL(upstreamUrl).host}
`,
  );
  return startChild({ program: findProgram('haproxy') ?? 'haproxy', args: ['-db', '-f', config], port });
}

/** Neither takes port 0. Between this and their start somebody else could take it; then they say so and end. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
