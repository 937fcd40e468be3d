#!/usr/bin/env node
// Start-up guard: plain CommonJS, so that an old Node can read it and say one clear line. A checkout carries its own
// Node (config/runtime); where only that one is new enough, it takes over.
'use strict';

const { spawn } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');

const OLDEST_MAJOR = 24;
const source = join(__dirname, 'main.ts');
const built = join(__dirname, '..', 'dist', 'main.js');

if (Number(process.versions.node.split('.')[0]) >= OLDEST_MAJOR) {
  import(pathToFileURL(existsSync(source) ? source : built).href).catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  });
} else {
  const pinned = join(__dirname, '..', 'node_modules', '.bin', 'node');
  if (existsSync(pinned)) {
    const child = spawn(pinned, [__filename, ...process.argv.slice(2)], { stdio: 'inherit' });
    child.on('exit', (code) => {
      process.exitCode = code ?? 1;
    });
    for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    // A terminal sends its Ctrl-C to the child as well; this process only has to outlive it.
    process.on('SIGINT', () => undefined);
  } else {
    process.stderr.write(
      `Switchboard needs Node.js ${OLDEST_MAJOR} or newer; this is ${process.version}. Install Node.js 24 LTS and try again.\n`,
    );
    process.exitCode = 1;
  }
}
