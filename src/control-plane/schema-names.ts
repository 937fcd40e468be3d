// What schemas are called in the OpenAPI document, and so in clients that are generated from it: those that Runloop's
// clients know, and those that stand in several places. The others have no name, and stand where they are used.

import type * as z from 'zod';
import { accountView } from './accounts.ts';
import { keyView } from './api-key-operations.ts';
import { decidingConfig, upstreamState } from './decisions.ts';
import { createBody as devboxBody, viewSchema as devboxView, mountInput } from './devboxes.ts';
import { effectView } from './effect-view.ts';
import { actorView } from './history.ts';
import { createBody, listView, mcpConfigView, updateBody } from './mcp-configs.ts';
import { NOTHING, warningsView } from './operation.ts';
import { previewView } from './previews.ts';
import { mcpConfigInputSchema, tokenInputSchema } from './schemas.ts';
import { viewSchema as secretView } from './secrets.ts';
import { mintedTokenView, tokenView } from './token-operations.ts';

export const BODIES: Readonly<Record<string, z.ZodType>> = {
  EmptyRecord: NOTHING,
  McpConfigCreateParameters: createBody,
  McpConfigUpdateParameters: updateBody,
  AuthMechanismParameters: mcpConfigInputSchema.shape.auth_mechanism.unwrap(),
  CustomHeadersParameters: mcpConfigInputSchema.shape.custom_headers.unwrap(),
  McpTokenGrantParameters: tokenInputSchema.shape.grants.element,
  DevboxCreateParameters: devboxBody,
  DevboxMountParameters: mountInput,
};

export const VIEWS: Readonly<Record<string, z.ZodType>> = {
  McpConfigView: mcpConfigView,
  McpConfigListView: listView,
  McpConfigPreviewView: previewView,
  SecretView: secretView,
  McpTokenView: tokenView,
  McpTokenMintedView: mintedTokenView,
  McpTokenGrantView: tokenView.shape.grants.element,
  DevboxView: devboxView,
  ApiKeyView: keyView,
  AccountView: accountView,
  ActorView: actorView,
  EffectView: effectView,
  DecidingMcpConfigView: decidingConfig,
  UpstreamStateView: upstreamState,
  Warnings: warningsView.unwrap(),
};
