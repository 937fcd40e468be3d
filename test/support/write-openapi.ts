// `npm run openapi`: writes config/openapi.json, the OpenAPI document as a gateway serves it.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startGateway } from './gateway.ts';
import { fetchOpenApi } from './openapi.ts';

const gateway = await startGateway({ configs: [] });
try {
  const file = join(import.meta.dirname, '../../config/openapi.json');
  await writeFile(file, `${JSON.stringify(await fetchOpenApi(gateway.url), null, 2)}\n`);
} finally {
  await gateway.close();
}
