import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Load, latencyPercentile } from './support/load.ts';
import { startServe } from './support/serve-child.ts';
import { startUpstreamChild } from './support/upstream-child.ts';

test('x', async (t) => {
  const ups = {
    a: await startUpstreamChild('modern', 'sse'),
    b: await startUpstreamChild('stateless'),
    c: await startUpstreamChild('stateful'),
  };
  for (const u of Object.values(ups)) t.after(() => u.close());
  const gw = await startServe({
    configs: Object.entries(ups).map(([name, { url }]) => ({ name, url })),
    limits: { header_timeout_ms: 700, connect_timeout_ms: 500 },
  });
  t.after(() => gw.stop());
  const tools = (['http1', 'http2'] as const).flatMap((http) =>
    (['legacy', 'modern'] as const).flatMap((era) => ['a', 'b', 'c'].map((s) => ({ name: s + '.echo', era, http }))),
  );
  const load = new Load({ mcpUrl: gw.mcpUrl, token: gw.token(), perSecond: 500, tools });
  t.after(() => load.stop());
  const wait = (ms: number) => new Promise((r) => setTimeout(r, ms));
  await wait(6000);
  const cpu = () => readFileSync('/proc/stat', 'utf8').split('\n')[0]!.split(/ +/).slice(1).map(Number);
  const own = () => {
    const pids = [process.pid, gw.pid, ...Object.values(ups).map((u) => (u as any).pid ?? 0)];
    return pids.map((p) => {
      try {
        const f = readFileSync(`/proc/${p}/stat`, 'utf8');
        const x = f.slice(f.lastIndexOf(')') + 2).split(' ');
        return Number(x[11]) + Number(x[12]);
      } catch {
        return 0;
      }
    });
  };
  for (let i = 0; i < 6; i++) {
    const c0 = cpu(),
      o0 = own(),
      from = performance.now();
    await wait(5000);
    const c1 = cpu(),
      o1 = own(),
      s = load.samples.filter((x) => x.dueMs > from && x.dueMs < from + 4800);
    const busy = (c: number[]) => c[0]! + c[1]! + c[2]! + c[5]! + c[6]!,
      all = (c: number[]) => c.slice(0, 8).reduce((p, q) => p + q, 0);
    t.diagnostic(
      `busy ${(((busy(c1) - busy(c0)) / (all(c1) - all(c0))) * 200).toFixed()}% of 200, steal ${c1[7]! - c0[7]!}; load+gw ${o1.map((v, k) => v - o0[k]!).join(' ')} ticks/500; p50 p90 p99 ${[50, 90, 99].map((p) => latencyPercentile(s, p).toFixed(1)).join(' ')}`,
    );
  }
});
