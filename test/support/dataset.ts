/**
 * One deterministic data set for every server of the tests: two hours at 15 s, from a fixed date, in the two text
 * formats that the servers can import.
 *
 * | metric | type | labels beside `job`, `instance`, `namespace` |
 * |---|---|---|
 * | `up` | gauge | |
 * | `http_requests_total` | counter, with resets | `code`, `method` |
 * | `http_request_duration_seconds` | classic histogram | `le` |
 * | `node_load1` | gauge | |
 * | `odd_values` | gauge, with gaps, NaN and infinities | `text`: unicode, quotes, backslashes, newlines, commas … |
 */
export interface Dataset {
  /** Unix seconds of the first sample; a multiple of two hours, so that Prometheus keeps it in one block. */
  readonly start: number;
  /** Unix seconds of the last sample. */
  readonly end: number;
  /** Seconds between samples. */
  readonly step: number;
  /** For `startPrometheus`. */
  readonly openMetrics: string;
  /** For `startVictoriaMetrics`. */
  readonly exposition: string;
  /** The values of `odd_values`' label `text`. */
  readonly oddTexts: readonly string[];
}

export interface Family {
  name: string;
  type: 'gauge' | 'counter' | 'histogram';
  series: Series[];
}

export interface Series {
  name: string;
  labels: Record<string, string>;
  /** One value per step; null is a gap. */
  values: (number | null)[];
}

const start = Date.UTC(2025, 5, 1, 8) / 1000;
const step = 15;
const count = (2 * 3600) / step;

const targets = [
  { job: 'shop', instance: 'shop-0:8080', namespace: 'shop-prod' },
  { job: 'shop', instance: 'shop-1:8080', namespace: 'shop-prod' },
  { job: 'shop', instance: 'shop-0:8080', namespace: 'shop-staging' },
  { job: 'billing', instance: 'billing-0:8080', namespace: 'other' },
  { job: 'node', instance: '10.0.0.1:9100', namespace: 'other' },
] as const;

const oddTexts = [
  'plain',
  '',
  'Grüße, 世界 🚀',
  'say "hello"',
  "it's",
  'back\\slash\\',
  'two\nlines',
  'a,b={c}',
  'a+b&c=d%20e#f',
  '../../etc/passwd',
  '<script>alert(1)</script>',
  'trailing space ',
];

const buckets = ['0.005', '0.05', '0.5', '5', '+Inf'];

export const dataset: Dataset = build();

function build(): Dataset {
  const families = [up(), requests(), durations(), load(), odd()];
  return {
    start,
    end: start + (count - 1) * step,
    step,
    openMetrics: openMetricsText(families),
    exposition: expositionText(families),
    oddTexts,
  };
}

function up(): Family {
  const series = targets.map((target, i) => ({
    name: 'up',
    labels: { ...target },
    // Each target is away for two minutes, at a time of its own.
    values: steps((t) => (t >= 40 * (i + 1) && t < 40 * (i + 1) + 8 ? 0 : 1)),
  }));
  return { name: 'up', type: 'gauge', series };
}

function requests(): Family {
  const random = generator(1);
  const series = targets.flatMap((target, i) =>
    ['200', '404', '500'].flatMap((code) =>
      ['GET', 'POST'].map((method) => {
        let total = 0;
        const values = steps((t) => {
          // The process restarts twice.
          if (t === 150 + i || t === 320 + i) total = 0;
          total += Math.floor(random() * (code === '200' ? 100 : 5));
          return total;
        });
        return { name: 'http_requests_total', labels: { ...target, code, method }, values };
      }),
    ),
  );
  return { name: 'http_requests', type: 'counter', series };
}

function durations(): Family {
  const name = 'http_request_duration_seconds';
  const series = targets.flatMap((target, i) => {
    const random = generator(100 + i);
    const perBucket = buckets.map(() => 0);
    const rows = Array.from({ length: count }, () => {
      for (let b = 0; b < perBucket.length; b++) perBucket[b] = (perBucket[b] ?? 0) + Math.floor(random() * 10);
      return perBucket.map((_, b) => perBucket.slice(0, b + 1).reduce((sum, n) => sum + n, 0));
    });
    const total = (t: number): number => rows[t]?.at(-1) ?? 0;
    return [
      ...buckets.map((le, b) => ({ name: `${name}_bucket`, labels: { ...target, le }, values: steps((t) => rows[t]?.[b] ?? 0) })),
      { name: `${name}_count`, labels: { ...target }, values: steps(total) },
      { name: `${name}_sum`, labels: { ...target }, values: steps((t) => total(t) * 0.125) },
    ];
  });
  return { name, type: 'histogram', series };
}

function load(): Family {
  const random = generator(7);
  const series = targets.map((target, i) => ({
    name: 'node_load1',
    labels: { ...target },
    values: steps((t) => Number((1 + i + Math.sin(t / 30) + random() / 10).toFixed(3))),
  }));
  return { name: 'node_load1', type: 'gauge', series };
}

function odd(): Family {
  const special = [1e-9, -273.15, 4294967296.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const series = oddTexts.map((text, i) => ({
    name: 'odd_values',
    labels: { job: 'odd', instance: `odd-${i}`, namespace: 'shop-prod', text },
    // Missing for seven minutes of every fifteen, longer than Prometheus looks back.
    values: steps((t) => ((t + 5 * i) % 60 < 32 ? (special[(t + i) % 40] ?? i) : null)),
  }));
  return { name: 'odd_values', type: 'gauge', series };
}

/** One value for each time of the data set. */
export function steps(value: (t: number) => number | null): (number | null)[] {
  return Array.from({ length: count }, (_, t) => value(t));
}

/** Mulberry32: small, seeded, the same everywhere. */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
}

/** Families at the times of the data set, for `startPrometheus`. */
export function openMetricsText(families: Family[]): string {
  const lines: string[] = [];
  for (const family of families) {
    lines.push(`# TYPE ${family.name} ${family.type}`, `# HELP ${family.name} Test data.`);
    for (const one of family.series) pushSamples(lines, one, (t) => String(start + t * step));
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

/** Families at the times of the data set, for `startVictoriaMetrics`. */
export function expositionText(families: Family[]): string {
  const lines: string[] = [];
  for (const family of families)
    for (const one of family.series) pushSamples(lines, one, (t) => String((start + t * step) * 1000));
  return `${lines.join('\n')}\n`;
}

function pushSamples(lines: string[], series: Series, timestamp: (t: number) => string): void {
  const labels = Object.entries(series.labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  const head = `${series.name}{${labels.join(',')}}`;
  series.values.forEach((value, t) => {
    if (value !== null) lines.push(`${head} ${valueText(value)} ${timestamp(t)}`);
  });
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function valueText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}
