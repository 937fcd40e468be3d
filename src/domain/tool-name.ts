// Tool names: which upstream names are exposed at all, and the canonical `service.tool` form.

/** Upstream names outside this are not exposed (MCP 2026-07-28 server/tools#tool-names, made a MUST at ingestion). */
const UPSTREAM_TOOL_NAME = /^[A-Za-z0-9_.-]{1,128}$/;

export function isUpstreamToolName(name: string): boolean {
  return UPSTREAM_TOOL_NAME.test(name);
}

/** `github` + `search_issues` → `github.search_issues`. A service holds no dot, so the first dot is the border. */
export function toCanonicalName(service: string, upstreamName: string): string {
  return `${service}.${upstreamName}`;
}

export interface CanonicalName {
  readonly service: string;
  readonly upstreamName: string;
}
