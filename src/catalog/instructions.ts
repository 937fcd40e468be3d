// How a catalog is to be used, in the words of its upstreams. Each is quoted under the name of its service: no upstream can
// speak in the name of another, or of the gateway.

import { cutText } from '../upstream/about.ts';
import type { Catalog } from './catalog.ts';

const MAX_SERVICE_BYTES = 4 * 1024;
const MAX_BYTES = 16 * 1024;

/** `undefined` when nobody says anything. A config that is seen by itself speaks for itself, unchanged. */
export function mergeInstructions(catalog: Catalog): string | undefined {
  if (catalog.view !== undefined) return catalog.lists[0]?.about?.instructions;
  const said = new Map<string, Set<string>>();
  catalog.grants.forEach(({ config: { service, config } }, index) => {
    const { instructions } = catalog.lists[index]?.about ?? {};
    // Who may use nothing of an upstream need not hear what it has.
    if (instructions === undefined || !isUsed(catalog, config.id)) return;
    said.set(service, (said.get(service) ?? new Set()).add(instructions));
  });
  if (said.size === 0) return undefined;
  const parts = [...said].map(
    ([service, texts]) => `# ${service}\n${quote(cutText([...texts].join('\n\n'), MAX_SERVICE_BYTES))}`,
  );
  return cutText(parts.join('\n\n'), MAX_BYTES);
}

function isUsed(catalog: Catalog, configId: string): boolean {
  return catalog.grants.some(({ config: { config } }, index) => {
    if (config.id !== configId) return false;
    return config.allowedPrompts.length > 0 || config.allowedResources.length > 0 || catalog.hasTools(index);
  });
}

/** Whatever a reader may take for the end of a line ends one, or a heading could follow that nobody wrote. */
function quote(text: string): string {
  return text
    .trim()
    .split(LINE_END)
    .map((line) => (line === '' ? '>' : `> ${line}`))
    .join('\n');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: some readers end lines at U+001C to U+001E.
const LINE_END = /\r\n|[\n\v\f\r\u001c-\u001e\u0085\u2028\u2029]/;
