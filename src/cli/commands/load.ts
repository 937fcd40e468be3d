// The commands of load testers: load on an endpoint, and an upstream to be put behind one.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { MOCK_DEFAULTS } from '../../load/mock-options.ts';
import { UsageError } from '../command-errors.ts';
import { examples, outputOption } from '../rest-command.ts';

const ERAS = ['legacy', 'modern'];
/** More than one process can send, and few enough to be remembered while they wait. */
const MOST_PER_SECOND = 100_000;
const MOST_CONNECTIONS = 10_000;
const DAY_SECONDS = 86_400;
const MOST_SEED = 2 ** 31;

export function addLoadCommands(program: Command): void {
  program
    .command('bench')
    .description('Put load on an MCP endpoint: a fixed rate, or a closed loop without one.')
    .argument('<url>', 'its URL, such as http://127.0.0.1:8080/mcp', parseEndpoint)
    .option('--token <token>', 'bearer token of an agent', parseToken)
    .option('--tool <name>', 'tool to call, which must be harmless (default: tools/list is asked for)')
    .option('--arguments <json>', 'arguments of the tool (default: {})', parseArguments)
    .addOption(new Option('--era <era>', 'protocol of the client').choices(ERAS).default('legacy'))
    .option('--rate <n>', 'requests per second, sent when they are due', parseNumber(0.01, MOST_PER_SECOND, true))
    .addOption(
      new Option('--arrivals <pattern>', 'how they are spread').choices(['poisson', 'even']).default('poisson'),
    )
    .option(
      '--connections <n>',
      'connections of a closed loop, most connections at a rate',
      parseNumber(1, MOST_CONNECTIONS),
      64,
    )
    .option('--duration <seconds>', 'length of the measurement', parseNumber(0.1, DAY_SECONDS, true), 10)
    .option('--warm-up <seconds>', 'load before it that is not counted', parseNumber(0, DAY_SECONDS, true), 1)
    .option('--timeout <seconds>', 'when an answer counts as missing', parseNumber(0.1, DAY_SECONDS, true), 30)
    .option('--seed <n>', 'same seed, same arrivals', parseNumber(0, MOST_SEED), 1)
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
      'progress in front of an answer by events (--answer sse)',
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
    .option('--seed <n>', 'same seed, same failures', parseNumber(0, MOST_SEED), MOCK_DEFAULTS.seed)
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

/** It goes into a head as it is. Not commander's error, which would print it. */
function parseToken(text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text;
  throw new UsageError(
    '--token must be visible ASCII characters, without blanks or line ends: write it as it was given.',
  );
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

function parseNumber(least: number, most: number, isFraction = false): (text: string) => number {
  return (text) => {
    const value = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most && (isFraction || Number.isInteger(value))) return value;
    throw new InvalidArgumentError(`Write a ${isFraction ? '' : 'whole '}number from ${least} to ${most}.`);
  };
}

function parseLatency(text: string): { readonly fromMs: number; readonly toMs: number } {
  const [, from = '', to = from] = /^(\d{1,6})(?:\.\.(\d{1,6}))?$/.exec(text) ?? [];
  if (from === '' || Number(to) < Number(from)) {
    throw new InvalidArgumentError('Write milliseconds, such as 20, or a range, such as 5..50.');
  }
  return { fromMs: Number(from), toMs: Number(to) };
}
