// Compiles src/protocol/json-skip.wat; as a command (`npm run wasm`) writes the code beside it.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const room = join(import.meta.dirname, '..', '..', 'src', 'protocol');
const HEAD = '// json-skip.wat as WebAssembly, written by `npm run wasm`; a test compares the two.\n\n';

/** What is used of it. */
interface Wabt {
  parseWat(
    name: string,
    text: string,
    features: object,
  ): { validate(): void; toBinary(options: object): { buffer: Uint8Array } };
}

/** A checkout that was installed before it was needed is still type-checked. */
const WABT: string = 'wabt';

/** The code in base64. */
export async function compileJsonSkip(): Promise<string> {
  const { default: createWabt } = (await import(WABT)) as { default: () => Promise<Wabt> };
  const wabt = await createWabt();
  const name = 'json-skip.wat';
  const module = wabt.parseWat(name, readFileSync(join(room, name), 'utf8'), { simd: true });
  module.validate();
  return Buffer.from(module.toBinary({}).buffer).toString('base64');
}

if (import.meta.main) {
  const lines = (await compileJsonSkip()).match(/.{1,110}/g)?.map((line) => `  '${line}',\n`) ?? [];
  writeFileSync(
    join(room, 'json-skip-code.ts'),
    `${HEAD}export const JSON_SKIP_CODE = [\n${lines.join('')}].join('');\n`,
  );
}
