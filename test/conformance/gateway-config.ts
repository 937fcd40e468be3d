// The one config of every gateway here: whatever the upstream serves may be used, so the suite meets no policy.

import type { ConfigOption } from '../support/gateway.ts';

export const CONFIG_NAME = 'conf';

export function conformanceConfig(url: string): ConfigOption {
  return { name: CONFIG_NAME, url, allowedTools: ['*'], more: { allowed_prompts: ['*'], allowed_resources: ['*'] } };
}
