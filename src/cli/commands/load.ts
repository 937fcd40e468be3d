// The commands of load testers: load on an endpoint, and an upstream to be put behind one.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { MOCK_DEFAULTS } from '../../load/mock-options.ts';
import { parseCount } from '../arguments.ts';
import { examples, outputOption } from '../rest-command.ts';

const ERAS = ['legacy', 'modern'];

export function addLoadCommands(program: Command): void {
  program
    .command('bench')
    .description('Put load on an MCP endpoint: a fixed rate, or a closed loop without one.')
    .argument('<url>', 'its URL, such as http://127.0.0.1:8080/mcp', parseEndpoint)
    .option('--token <token>', 'bearer token of an agent')
    .option('--tool <name>', 'tool to call, which must be harmless (default: tools/list is asked for)')
    .option('--arguments <json>', 'arguments of the tool', parseArguments, '{}')
    .addOption(new Option('--era <era>', 'protocol of the client').choices(ERAS).default('legacy'))
    .option('--rate <n>', 'requests per second, sent when they are due', parseCount)
    .addOption(
      new Option('--arrivals <pattern>', 'how they are spread').choices(['poisson', 'even']).default('poisson'),
    )
    .option('--connections <n>', 'connections of a closed loop, most connections at a rate', parseCount, 64)
    .option('--duration <seconds>', 'length of the measurement', parseCount, 10)
    .option('--warm-up <seconds>', 'load before it that is not counted', parseCount, 1)
    .option('--timeout <seconds>', 'when an answer counts as missing', parseCount, 30)
    .option('--seed <n>', 'same seed, same arrivals', parseCount, 1)
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples(
        'switchboard bench http://127.0.0.1:8080/mcp --token "$TOKEN" --tool mock.echo --rate 500',
        'switchboard bench http://127.0.0.1:8080/mcp --token "$TOKEN" --era modern --connections 32 -o json',
      ),
    )
    .action(async (url, options) => (await import('../bench.ts')).bench(url, options));
  program
    .command('mock-upstream')
    .description('Serve MCP tools that do nothing, at a wanted size, speed and rate of failures.')
    .option('--host <address>', 'address to listen on', MOCK_DEFAULTS.host)
    .option('--port <n>', 'port to listen on', parseNumber(0, 65_535), MOCK_DEFAULTS.port)
    .addOption(new Option('--era <era>', 'protocol that it speaks').choices(ERAS).default(MOCK_DEFAULTS.era))
    .option('--tools <n>', 'tools in its list: echo, tool_1, …', parseNumber(1, 100_000), MOCK_DEFAULTS.tools)
    .option('--result-bytes <n>', 'size of a result', parseNumber(0, 256 * 1024 * 1024), MOCK_DEFAULTS.resultBytes)
    .addOption(
      new Option('--shape <shape>', 'one long text, or many small members')
        .choices(['string', 'dense'])
        .default(MOCK_DEFAULTS.shape),
    )
    .addOption(
      new Option('--answer <kind>', 'how calls are answered').choices(['json', 'sse']).default(MOCK_DEFAULTS.answer),
    )
    .option(
      '--progress-events <n>',
      'progress in front of an answer by events',
      parseNumber(0, 100_000),
      MOCK_DEFAULTS.progressEvents,
    )
    .addOption(
      new Option('--latency <ms>', 'how long a call takes: 20, or 5..50')
        .argParser(parseLatency)
        .default(MOCK_DEFAULTS.latency, '0'),
    )
    .option(
      '--error-rate <share>',
      'share of calls that fail, from 0 to 1',
      parseNumber(0, 1, true),
      MOCK_DEFAULTS.errorRate,
    )
    .option(
      '--stall-rate <share>',
      'share of calls that are never answered',
      parseNumber(0, 1, true),
      MOCK_DEFAULTS.stallRate,
    )
    .option('--seed <n>', 'same seed, same failures', parseNumber(0, 2 ** 31), MOCK_DEFAULTS.seed)
    .addHelpText(
      'after',
      examples('switchboard mock-upstream', 'switchboard mock-upstream --latency 5..50 --error-rate 0.01 --port 9000'),
    )
    .action(async (options) => (await import('../mock-upstream.ts')).mockUpstream(options));
}

function parseEndpoint(text: string): URL {
  const url = /^https?:\/\//.test(text) ? URL.parse(text) : null;
  if (url === null || url.username !== '') {
    throw new InvalidArgumentError('Write an http(s) URL without user name, such as http://127.0.0.1:8080/mcp.');
  }
  return url;
}

function parseArguments(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return text;
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError('Write a JSON object, such as \'{"text":"hello"}\'.');
}

function parseNumber(least: number, most: number, isShare = false): (text: string) => number {
  return (text) => {
    const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most && (isShare || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`Write a ${isShare ? '' : 'whole '}number from ${least} to ${most}.`);
  };
}

function parseLatency(text: string): { readonly fromMs: number; readonly toMs: number } {
  const [, from = '', to = from] = /^(\d{1,6})(?:\.\.(\d{1,6}))?$/.exec(text) ?? [];
  if (from === '' || Number(to) < Number(from)) {
    throw new InvalidArgumentError('Write milliseconds, such as 20, or a range, such as 5..50.');
  }
  return { fromMs: Number(from), toMs: Number(to) };
}
