// Which operations are offered to agents as tools, under which names and with which words; the rest, with the reason.

export interface Offer {
  /** Verb first, as agents know it from other management servers. */
  readonly name: string;
  readonly title: string;
  /** For a model: what it is for, and what to read before. */
  readonly description: string;
  readonly annotations: Annotations;
  /** The argument that names the object in the operation's path, by id or name. */
  readonly object?: string;
  /** What destroys or widens access is done on a revision that was read before. */
  readonly confirms?: Confirmation;
}

export interface Confirmation {
  /** The tool that shows the revision. */
  readonly read: string;
  readonly field: 'revision' | 'epoch';
}

interface Annotations {
  readonly readOnlyHint: boolean;
  readonly destructiveHint: boolean;
  readonly idempotentHint: boolean;
  readonly openWorldHint: boolean;
}

const READS: Annotations = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };
/** May ask upstreams for their tools. */
const LOOKS: Annotations = { ...READS, openWorldHint: true };
const CREATES: Annotations = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: false,
};
/** Sent again it is refused, because what it confirms is no more. */
const REPLACES: Annotations = { ...CREATES, destructiveHint: true, idempotentHint: true };

const CONFIG: Confirmation = { read: 'get-mcp-config', field: 'revision' };
const TOKEN: Confirmation = { read: 'get-token', field: 'revision' };
const ACCOUNT: Confirmation = { read: 'get-account-context', field: 'epoch' };

/** By the names of operations. */
export const OFFERS: Readonly<Record<string, Offer>> = {
  getAccountContext: {
    name: 'get-account-context',
    title: 'Account context',
    description:
      'Start here. Shows the account, what this API key may do, how many objects there are, how many issues are open, the URL agents connect to, and the epoch that create-token asks for.',
    annotations: READS,
  },
  listMcpConfigs: {
    name: 'list-mcp-configs',
    title: 'List McpConfigs',
    description:
      'Lists the upstream MCP servers, newest first, with their allow-lists. Use it before you create one: there may be one already.',
    annotations: READS,
  },
  getMcpConfig: {
    name: 'get-mcp-config',
    title: 'Get McpConfig',
    description:
      'Shows one McpConfig. Its `revision` is the `confirm_revision` of update-, delete- and revert-mcp-config: read it just before.',
    annotations: READS,
    object: 'mcp_config',
  },
  previewMcpConfig: {
    name: 'preview-mcp-config',
    title: 'Preview a new McpConfig',
    description:
      'Says what create-mcp-config would do, and changes nothing: the tools that would appear, and patterns that match nothing. Call it first, and narrow allowed_tools until only what is needed appears.',
    annotations: LOOKS,
  },
  previewMcpConfigUpdate: {
    name: 'preview-mcp-config-update',
    title: 'Preview a change of an McpConfig',
    description:
      'Says what update-mcp-config would do, and changes nothing: tools that would appear and disappear, the tokens they concern, and patterns that match nothing. Call it first, and show the outcome to the person who asks.',
    annotations: LOOKS,
    object: 'mcp_config',
  },
  createMcpConfig: {
    name: 'create-mcp-config',
    title: 'Create McpConfig',
    description:
      'Describes an upstream MCP server. Nobody can use it before a token grants it. List and preview first; keep allowed_tools, allowed_prompts and allowed_resources to what is needed, as `*` admits all that the upstream will ever have.',
    annotations: CREATES,
  },
  updateMcpConfig: {
    name: 'update-mcp-config',
    title: 'Update McpConfig',
    description:
      'Changes an McpConfig for every token that grants it, at once. Read it with get-mcp-config, call preview-mcp-config-update, then send only what changes. A new endpoint origin suspends grants with secrets until an owner confirms it.',
    annotations: REPLACES,
    object: 'mcp_config',
    confirms: CONFIG,
  },
  deleteMcpConfig: {
    name: 'delete-mcp-config',
    title: 'Delete McpConfig',
    description:
      'Deletes an McpConfig that no live token grants; otherwise the answer names the tokens. Read it with get-mcp-config first. revert-mcp-config brings it back.',
    annotations: REPLACES,
    object: 'mcp_config',
    confirms: CONFIG,
  },
  getMcpConfigHistory: {
    name: 'get-history',
    title: 'History of an McpConfig',
    description:
      'Who changed an McpConfig, when, and which tools, prompts and resources each change gave and took, newest first. For a deleted one give its id; query-audit finds it.',
    annotations: READS,
    object: 'mcp_config',
  },
  diffMcpConfig: {
    name: 'diff-revisions',
    title: 'Compare revisions of an McpConfig',
    description: 'Shows the fields that changed between two revisions of an McpConfig. Look at it before you revert.',
    annotations: READS,
    object: 'mcp_config',
  },
  revertMcpConfig: {
    name: 'revert-mcp-config',
    title: 'Revert McpConfig',
    description:
      'Makes an McpConfig what it was at an earlier `revision`, as a new revision; a deleted one comes back. Look at get-history and diff-revisions first: `confirm_revision` is the newest revision, `revision` the one to go back to.',
    annotations: REPLACES,
    object: 'mcp_config',
    confirms: { read: 'get-history', field: 'revision' },
  },
  explain: {
    name: 'explain-tool',
    title: 'Explain a tool, a prompt or a resource',
    description:
      'Says step by step why a token may or may not call a `tool`, get a `prompt` or read a `resource` (give one of the three), and which pattern would admit it. Use it to check that a token can do what it should, and cannot do what it should not.',
    annotations: LOOKS,
  },
  getCatalog: {
    name: 'get-catalog',
    title: 'Catalog of a token',
    description:
      'Lists the tools that a token sees, or its prompts or resources (`kind`), and for each the McpConfig, revision and pattern that admit it; of tools also the estimated size in a context window.',
    annotations: LOOKS,
  },
  listIssues: {
    name: 'list-issues',
    title: 'List issues',
    description:
      'Lists what needs attention: dead upstreams, patterns without a match, collisions, expiring tokens, unreadable secrets, suspended grants. Call it after every change.',
    annotations: LOOKS,
  },
  listSecrets: {
    name: 'list-secrets',
    title: 'List secrets',
    description:
      'Lists secrets by name, to be named in grants and custom headers. Values are never shown, and none can be stored here: ask a person to store one with the REST API or the `switchboard` command, and never for the value itself.',
    annotations: READS,
  },
  listMcpTokens: {
    name: 'list-tokens',
    title: 'List tokens',
    description: 'Lists the tokens of agents, newest first, with what each grants. Values are never shown.',
    annotations: READS,
  },
  getMcpToken: {
    name: 'get-token',
    title: 'Get token',
    description:
      'Shows one token without its value. Its `revision` is the `confirm_revision` of update-token and revoke-token: read it just before.',
    annotations: READS,
    object: 'token',
  },
  createTokenClaim: {
    name: 'create-token',
    title: 'Create token',
    description:
      'Creates a token for an agent and answers with a link that shows its value once, for 15 minutes. Give the link to the person who set the task, and do not open it: the value must not pass through you. Grant only the McpConfigs that are needed, narrow them with `allowed_tools`, and set `expire_time_ms`.',
    annotations: CREATES,
    confirms: ACCOUNT,
  },
  updateMcpToken: {
    name: 'update-token',
    title: 'Update token',
    description:
      'Changes what a token grants, its spelling of names or its expiry; agents that hold it see it at once. Read it with get-token first: `grants` replaces the whole list.',
    annotations: REPLACES,
    object: 'token',
    confirms: TOKEN,
  },
  revokeMcpToken: {
    name: 'revoke-token',
    title: 'Revoke token',
    description: 'Ends a token for good, with the calls that are open under it. Read it with get-token first.',
    annotations: REPLACES,
    object: 'token',
    confirms: TOKEN,
  },
  listAudit: {
    name: 'query-audit',
    title: 'Query the audit',
    description: 'Who changed what (`kind: changes`), or who called which tool (`kind: calls`), newest first.',
    annotations: READS,
  },
  exportConfig: {
    name: 'generate-config',
    title: 'Generate the config file',
    description:
      'Writes the whole account as a config file in YAML, for review or for git. Secrets and tokens stand in it as variables to be set.',
    annotations: READS,
  },
};

const VALUES = 'Values of secrets never pass through a model.';
const KEYS = 'Who may administer is decided by people.';
const DEVBOXES = "Devboxes are recorded by Runloop's clients, and a token for one is made with create-token.";

/** Why the other operations are not offered, by their names. */
export const NOT_OFFERED: Readonly<Record<string, string>> = {
  createSecret: VALUES,
  updateSecret: VALUES,
  getSecret: 'list-secrets shows all there is.',
  deleteSecret: 'Whoever stores secrets also takes them away.',
  createMcpToken: 'Its answer holds the value of the token; create-token answers with a link.',
  rotateMcpToken: 'Its answer holds the value of the token.',
  confirmEndpoint: 'Where secrets may go is decided by people.',
  createDevbox: DEVBOXES,
  createDevboxAndAwaitRunning: DEVBOXES,
  listDevboxes: DEVBOXES,
  getDevbox: DEVBOXES,
  awaitDevboxStatus: DEVBOXES,
  shutdownDevbox: DEVBOXES,
  createDevboxMcpToken: 'Its answer holds the value of the token.',
  getMyAccount: 'get-account-context shows it.',
  listAccounts: KEYS,
  createAccount: KEYS,
  createApiKey: KEYS,
  listApiKeys: KEYS,
  revokeApiKey: KEYS,
};
