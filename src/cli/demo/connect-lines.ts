// The lines that connect common MCP clients, ready to be pasted into a POSIX shell.

export interface ConnectLinesOptions {
  /** The gateway's `/mcp` URL. */
  readonly url: string;
  readonly token: string;
  /** What the client calls this connection. */
  readonly name?: string;
}

/** One indented block per client under its heading, without a final newline. Codex and VS Code refuse dots in tool names. */
export function connectLines({ url, token, name = 'switchboard' }: ConnectLinesOptions): string {
  const authorization = `Bearer ${token}`;
  const header = quote(`Authorization: ${authorization}`);
  const dotless = withUnderscores(url);
  const vsCode = JSON.stringify({ name, type: 'http', url: dotless, headers: { Authorization: authorization } });
  return [
    'Claude Code',
    `  claude mcp add ${quote(name)} --transport http ${quote(url)} --header ${header}`,
    'Codex',
    `  export SWITCHBOARD_TOKEN=${quote(token)}`,
    `  codex mcp add ${quote(name)} --url ${quote(dotless)} --bearer-token-env-var SWITCHBOARD_TOKEN`,
    'VS Code',
    `  code --add-mcp ${quote(vsCode)}`,
    'MCP Inspector',
    // Without a tag, npm takes one of years ago that says it runs on the machine's own Node.
    `  npx @modelcontextprotocol/inspector@latest --cli ${quote(url)} --transport http --method tools/list --header ${header}`,
  ].join('\n');
}

function withUnderscores(url: string): string {
  const dotless = new URL(url);
  dotless.searchParams.set('names', 'underscore');
  return dotless.href;
}

/** Bare or in double quotes where that is safe in every shell; in single quotes, which hold anything, where it is not. */
function quote(text: string): string {
  if (/^[A-Za-z0-9_./:@-]+$/.test(text)) return text;
  // `!` is history expansion inside the double quotes of an interactive shell.
  if (!/["$`\\!]/.test(text)) return `"${text}"`;
  return `'${text.replaceAll("'", "'\\''")}'`;
}
