// What the suite tests as a client when the gateway is to be tested: a gateway whose upstream is the suite's mock server,
// and the reference client in front of it (`via-gateway.ts ERA URL`, ERA being the client's).

import { startGateway } from '../support/gateway.ts';
import { playScenario, readScenarioRun } from './client.ts';
import { CONFIG_NAME, conformanceConfig } from './gateway-config.ts';

const run = readScenarioRun();
const gateway = await startGateway({ configs: [conformanceConfig(run.url)] });
try {
  await playScenario({ ...run, url: `${gateway.mcpUrl}/${CONFIG_NAME}`, token: gateway.token() });
} finally {
  await gateway.close();
}
