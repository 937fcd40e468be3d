import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { GatewayError } from '../../../src/domain/errors.ts';
import { readEnvironment } from '../../../src/settings/environment.ts';

function messageOf(variables: Record<string, string>): string {
  try {
    readEnvironment(variables);
  } catch (error) {
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'invalid_argument');
    return error.message;
  }
  return assert.fail('the environment was accepted');
}

test('an empty environment settles nothing', () => {
  const { lookup, ...rest } = readEnvironment({ SWITCHBOARD_LISTEN: '' });
  assert.deepEqual([...new Set(Object.values(rest))], [undefined]);
  assert.equal(lookup('HOME'), undefined);
});

test('every variable is read into its type', () => {
  const environment = readEnvironment({
    SWITCHBOARD_MASTER_KEY: 'master',
    SWITCHBOARD_URL: 'http://127.0.0.1:8080/',
    SWITCHBOARD_API_KEY: 'swb_key_x',
    SWITCHBOARD_LISTEN: '[::1]:0',
    SWITCHBOARD_LOG_LEVEL: 'debug',
    SWITCHBOARD_WORKERS: 'auto',
    GITHUB_TOKEN: 'ghp',
  });
  assert.equal(environment.masterKey?.reveal(), 'master');
  assert.equal(environment.url, 'http://127.0.0.1:8080');
  assert.equal(environment.apiKey?.reveal(), 'swb_key_x');
  assert.deepEqual(environment.listen, { host: '::1', port: 0 });
  assert.equal(environment.logLevel, 'debug');
  assert.equal(environment.workers, 'auto');
  assert.equal(environment.lookup('GITHUB_TOKEN'), 'ghp');
  assert.equal(environment.lookup('constructor'), undefined);
  assert.equal(inspect(environment).includes('swb_key_x'), false);
});

test('a bad value is refused with what was expected, and is not repeated', () => {
  assert.equal(
    messageOf({ SWITCHBOARD_LOG_LEVEL: 'debgu' }),
    'SWITCHBOARD_LOG_LEVEL must be one of debug, info, warn, error, silent (did you mean debug?)',
  );
  for (const workers of ['0', '-1', '65', '1.5', 'two', '1e1', ' 2'])
    assert.equal(
      messageOf({ SWITCHBOARD_WORKERS: workers }),
      'SWITCHBOARD_WORKERS must be auto or a whole number from 1 to 64',
    );
  for (const listen of ['8080', ':8080', 'host', 'host:99999', '::1:80', 'a b:80', 'http://host:80'])
    assert.equal(
      messageOf({ SWITCHBOARD_LISTEN: listen }),
      'SWITCHBOARD_LISTEN must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080',
    );
  for (const url of ['localhost', 'ftp://a', 'http://key@host'])
    assert.equal(
      messageOf({ SWITCHBOARD_URL: url }),
      'SWITCHBOARD_URL must be an http(s) URL without user name, such as http://127.0.0.1:8080',
    );
  assert.equal(
    messageOf({ SWITCHBOARD_MASTER_KEY: 'a', SWITCHBOARD_MASTER_KEY_FILE: 'b' }),
    'SWITCHBOARD_MASTER_KEY and SWITCHBOARD_MASTER_KEY_FILE are both set: keep one',
  );
});
