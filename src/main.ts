// The process: arguments in, exit code out.

import { run } from './cli/program.ts';

await run(process.argv);
