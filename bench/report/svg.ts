// Bar charts as SVG: horizontal bars for medians, a line across each for the range, readable on light and dark pages.

export interface Chart {
  readonly title: string;
  readonly groups: readonly BarGroup[];
}

/** Bars that share a scale; from ratios of 20 on it is logarithmic, and says so. */
export interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
  /** A value to be marked across the bars, such as a bound. */
  readonly mark?: number;
}

export interface Bar {
  readonly label: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** The value in words, at the right. */
  readonly text: string;
  /** What the chart is about, against what it is compared with. */
  readonly isOwn: boolean;
}

const WIDTH = 760;
const LABEL_WIDTH = 190;
const BAR_WIDTH = 370;
const BAR_HEIGHT = 14;
const ROW_HEIGHT = 22;
const GROUP_HEIGHT = 30;
const TITLE_HEIGHT = 34;
const LOGARITHMIC_FROM = 20;
const MOST_OF_RANGE = 1.5;

const STYLE = `text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}.group{font-weight:600}
.own{fill:#0969da}.other{fill:#afb8c1}.range{stroke:#24292f;stroke-width:1.5}.mark{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:4 3}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.own{fill:#4493f8}.other{fill:#57606a}.range{stroke:#e6edf3}.mark{stroke:#ff7b72}}`;

export function toSvg({ title, groups }: Chart): string {
  const parts: string[] = [`<text class="title" x="0" y="20">${escapeXml(title)}</text>`];
  let top = TITLE_HEIGHT;
  for (const group of groups) {
    parts.push(...drawGroup(group, top));
    top += GROUP_HEIGHT + group.bars.length * ROW_HEIGHT;
  }
  const size = `width="${WIDTH}" height="${top}" viewBox="0 0 ${WIDTH} ${top}"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-label="${escapeXml(title)}">`;
  return `${[head, `<style>${STYLE}</style>`, ...parts, '</svg>'].join('\n')}\n`;
}

function drawGroup({ title, bars, mark }: BarGroup, top: number): string[] {
  const { toWidth, isLogarithmic } = scaleOf(bars, mark);
  const heading = isLogarithmic ? `${title} (logarithmic)` : title;
  const bottom = top + GROUP_HEIGHT + bars.length * ROW_HEIGHT;
  const lines = bars.flatMap((bar, index) => drawBar(bar, top + GROUP_HEIGHT + index * ROW_HEIGHT, toWidth));
  const marked = mark === undefined ? [] : [drawMark(LABEL_WIDTH + toWidth(mark), top + GROUP_HEIGHT - 4, bottom - 4)];
  return [`<text class="group" x="0" y="${top + 18}">${escapeXml(heading)}</text>`, ...lines, ...marked];
}

function drawBar(
  { label, median, min, max, text, isOwn }: Bar,
  top: number,
  toWidth: (value: number) => number,
): string[] {
  const [width, from, to] = [median, min, max].map((value) => round(toWidth(value))) as [number, number, number];
  const middle = top + BAR_HEIGHT / 2;
  const textAt = LABEL_WIDTH + BAR_WIDTH + 12;
  return [
    `<text x="${LABEL_WIDTH - 8}" y="${top + 11}" text-anchor="end">${escapeXml(label)}</text>`,
    `<rect class="${isOwn ? 'own' : 'other'}" x="${LABEL_WIDTH}" y="${top}" width="${width}" height="${BAR_HEIGHT}" rx="2"/>`,
    `<line class="range" x1="${LABEL_WIDTH + from}" x2="${LABEL_WIDTH + to}" y1="${middle}" y2="${middle}"/>`,
    `<text x="${textAt}" y="${top + 11}">${escapeXml(text)}</text>`,
  ];
}

function drawMark(x: number, top: number, bottom: number): string {
  return `<line class="mark" x1="${round(x)}" x2="${round(x)}" y1="${top}" y2="${bottom}"/>`;
}

interface Scale {
  readonly toWidth: (value: number) => number;
  readonly isLogarithmic: boolean;
}

function scaleOf(bars: readonly Bar[], mark = 0): Scale {
  // One bad round should not flatten all bars: a range beyond the scale ends at its edge.
  const most = Math.max(mark, ...bars.map(({ median, max }) => Math.min(max, median * MOST_OF_RANGE)));
  const least = Math.min(...bars.map(({ median }) => median));
  const isLogarithmic = least > 0 && most / least >= LOGARITHMIC_FROM;
  const clip = (share: number) => Math.min(1, Math.max(0, share)) * BAR_WIDTH;
  if (!isLogarithmic) return { toWidth: (value) => (most > 0 ? clip(value / most) : 0), isLogarithmic };
  // A tenth of the least is where bars begin, so that the least has one.
  const origin = Math.log(least / 10);
  const toWidth = (value: number) => (value <= 0 ? 0 : clip((Math.log(value) - origin) / (Math.log(most) - origin)));
  return { toWidth, isLogarithmic };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
