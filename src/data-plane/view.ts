// `/mcp/{config}`: one granted config by itself, under the names that its upstream has.

/** The config that the path of a request names; `undefined` for `/mcp`, which is everything that the token grants. */
export function readView(url: string | undefined): string | undefined {
  if (url?.charCodeAt(MCP.length) !== SLASH) return undefined;
  const query = url.indexOf('?', MCP.length);
  return url.slice(MCP.length + 1, query < 0 ? url.length : query);
}

const MCP = '/mcp';
const SLASH = 0x2f;
