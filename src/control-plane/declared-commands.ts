// The commands that this gateway's own config file declares. Whoever could write to the database would otherwise have every
// gateway that shares it run what they like.

import { isDeepStrictEqual } from 'node:util';
import type { McpConfig } from '../domain/mcp-config.ts';
import type { Declared, DeclaredStdio } from './declared.ts';

export class DeclaredCommands {
  #declared: Declared;

  constructor(declared: Declared) {
    this.#declared = declared;
  }

  /** Takes what is declared now for the file's, and goes back to what was before if it cannot be applied. */
  async during<T>(declared: Declared, apply: () => Promise<T>): Promise<T> {
    const before = this.#declared;
    this.#declared = declared;
    try {
      return await apply();
    } catch (error) {
      this.#declared = before;
      throw error;
    }
  }

  /** Whether the command of a stored config is that of the file. Secrets are compared by where they are used. */
  has({ name, stdio, managedBy }: McpConfig): boolean {
    const declared = this.#declared.mcpConfigs.find((each) => each.name === name)?.stdio ?? null;
    if (declared === null || stdio === null || managedBy !== 'file') return false;
    return isDeepStrictEqual(withoutSecrets(declared), withoutSecrets(stdio));
  }
}

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly fromGrant?: true;
}

function withoutSecrets({
  env,
  ...command
}: Omit<DeclaredStdio, 'env'> & { readonly env: readonly Variable[] }): object {
  return { ...command, env: env.map(({ name, value, fromGrant }) => ({ name, value, fromGrant })) };
}
