#!/usr/bin/env node
// Start-up guard: plain CommonJS, so that an old Node can read it and say one clear line. A checkout carries its own
// Node (config/runtime); where only that one is new enough, it takes over.
'use strict';

const { spawn } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { setFlagsFromString } = require('node:v8');

const OLDEST_MAJOR = 24;
/** Later ones may know no such flag, and then say so on stderr. */
const NEWEST_KNOWN_MAJOR = 26;
const major = Number(process.versions.node.split('.')[0]);
const source = join(__dirname, 'main.ts');
const built = join(__dirname, '..', 'dist', 'main.js');

if (major >= OLDEST_MAJOR) {
  // Otherwise the whole heap is marked for every 64 MiB of Buffers that come and go, which bodies of 100 KB and more do
  // many times a second. Newer V8 weighs Buffers like objects by itself.
  if (major <= NEWEST_KNOWN_MAJOR) setFlagsFromString('--external-memory-accounted-in-global-limit');
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
