// The REST door: operators' questions over HTTP. It authenticates API keys and turns use cases' errors into answers.

import { Hono } from 'hono';
import type { Explanation } from '../catalog/explain.ts';
import { ERRORS, GatewayError } from '../domain/errors.ts';
import type { AccountId } from '../domain/mcp-config.ts';
import type { Authenticator, Operator } from '../identity/authenticate.ts';

export interface RestDeps {
  readonly authenticator: Authenticator;
  /** Throws `not_found` for a token that does not exist. */
  readonly explain: (account: AccountId, tool: string, token: string) => Promise<Explanation>;
}

export type RestDoor = Hono<{ Variables: { operator: Operator } }>;

/** Routes below `/v1`. */
export function createRestDoor(deps: RestDeps): RestDoor {
  const app: RestDoor = new Hono();
  app.use('*', async (context, next) => {
    const operator = deps.authenticator.authenticateApiKey(context.req.header('authorization'));
    if (operator.kind === 'denied') throw new GatewayError(operator.code, operator.message);
    context.set('operator', operator);
    await next();
  });
  app.get('/explain', async (context) => {
    const { accountId } = context.get('operator');
    return context.json(
      await deps.explain(
        accountId,
        required(context.req.query('tool'), 'tool'),
        required(context.req.query('token'), 'token'),
      ),
    );
  });
  return app;
}

function required(value: string | undefined, path: string): string {
  if (value !== undefined && value !== '' && value.length <= 512) return value;
  const message = `${path}: give the ${path} as a query parameter of 1 to 512 characters`;
  throw new GatewayError('invalid_argument', `${message}, as in /v1/explain?tool=github.search&token=devbox-ci.`, {
    problems: [{ path, message }],
  });
}

/** The body of every refusal of the control plane: `message` on top, as Runloop's clients show it. */
export function problemBody(error: GatewayError): Record<string, unknown> {
  const { code, message, status, problems } = error;
  return { message, code, title: ERRORS[code].title, status, ...(problems.length === 0 ? {} : { errors: problems }) };
}
