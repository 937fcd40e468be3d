// An operator's script: asks the REST API with one API key and gives status, headers and body of what it is told.

export interface Told {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers of all operations
  readonly body: any;
}

export interface Operator {
  get(path: string): Promise<Told>;
  post(path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Told>;
}

export function operatorOf(url: string, apiKey: string): Operator {
  const ask = async (path: string, init: RequestInit): Promise<Told> => {
    const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...init.headers };
    const response = await fetch(url + path, { ...init, headers });
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  return {
    get: (path) => ask(path, {}),
    post: (path, body, headers = {}) =>
      ask(path, {
        method: 'POST',
        headers: { ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
  };
}
