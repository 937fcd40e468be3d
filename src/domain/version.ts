// What this build calls itself, read from the package it is part of.

import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const VERSION = manifest.version;

/** `Implementation` as raw JSON: what the gateway calls itself towards clients and upstreams. */
export const IMPLEMENTATION = `{"name":"mcp-switchboard","version":"${VERSION}"}`;
