/**
 * Two tenants who share a server, and traps around them. Tenant a is `namespace="shop-prod"`: small numbers, and nothing
 * with "secret" in it. Everything else is tenant b's or nobody's, and recognisable: each series has a label and each text
 * a word with "secret" in it, and each number is 7e12 or more, a rate of them too.
 *
 * | metric | whose |
 * |---|---|
 * | `up`, `node_load1`, `http_requests_total`, `http_request_duration_seconds`, `target_info` | everybody's |
 * | `shop_orders_total` | a's |
 * | `secret_b_total` | b's |
 *
 * Beside the two hours of `dataset.ts` there are scraped targets (`liveText`) with help texts and exemplars, and rules.
 */
import { type Family, generator, type Series, steps } from './dataset.ts';

/** What confines tenant a. */
export const own = { label: 'namespace', value: 'shop-prod' } as const;
/** Tenant b's. */
export const foreignNamespace = 'secret-b';

type Labels = Readonly<Record<string, string>>;

interface Owner {
  readonly labels: Labels;
  readonly own: boolean;
}

const owners: readonly Owner[] = [
  { own: true, labels: { job: 'shop', instance: 'shop-0:8080', namespace: 'shop-prod' } },
  { own: true, labels: { job: 'shop', instance: 'shop-1:8080', namespace: 'shop-prod', tier: 'web' } },
  // The same job and instance as a's, so that a join without the namespace would meet them.
  { own: false, labels: { job: 'shop', instance: 'shop-0:8080', namespace: 'secret-b', secretb_zone: 'secretb-1' } },
  { own: false, labels: { job: 'secretb', instance: 'secretb-0:9999', namespace: 'secret-b', secretb_zone: 'secretb-2' } },
  // What a matcher that is not anchored, or does not heed case, would take for a's.
  { own: false, labels: { job: 'shop', instance: 'shop-0:8080', namespace: 'shop-prod-secretb', secretb_zone: 'secretb-3' } },
  { own: false, labels: { job: 'shop', instance: 'shop-0:8080', namespace: 'secretb-shop-prod', secretb_zone: 'secretb-4' } },
  { own: false, labels: { job: 'shop', instance: 'shop-0:8080', namespace: 'SHOP-PROD', secretb_zone: 'secretb-5' } },
  // Nobody's: no namespace at all.
  { own: false, labels: { job: 'node', instance: 'secretb-node:9100' } },
];

const foreignSize = 7e12;
const buckets = ['0.05', '0.5', '5', '+Inf'];

/** The families of tenant a alone, or of everybody. */
export function tenantFamilies(who: 'a' | 'all'): Family[] {
  const chosen = owners.map((owner, seed) => ({ ...owner, seed })).filter((owner) => owner.own || who === 'all');
  const family = (name: string, type: Family['type'], series: (owner: Owner & { seed: number }) => Series[]): Family => ({
    name,
    type,
    series: chosen.flatMap(series),
  });
  const gauge = (name: string, more: Labels = {}) =>
    family(name, 'gauge', ({ labels, own, seed }) => {
      const random = generator(seed + name.length);
      const value = () => (own ? Math.round(random() * 100) / 4 : foreignSize + Math.round(random() * 1e6));
      return [{ name, labels: { ...labels, ...more }, values: steps(value) }];
    });
  const counter = (name: string, codes: readonly Labels[], whose: (owner: Owner) => boolean = () => true) =>
    family(name, 'counter', (owner) =>
      whose(owner)
        ? codes.map((code, n) => ({
            name: `${name}_total`,
            labels: { ...owner.labels, ...code },
            values: climbing(owner, owner.seed * 10 + n),
          }))
        : [],
    );
  const secret = counter('secret_b', [{}], ({ own }) => !own);
  return [
    gauge('up'),
    gauge('node_load1'),
    gauge('target_info', { version: '1.2.3' }),
    counter('http_requests', [{ code: '200' }, { code: '500' }]),
    counter('shop_orders', [{}], ({ own }) => own),
    ...(who === 'all' ? [secret] : []),
    family('http_request_duration_seconds', 'histogram', histogram),
  ];
}

function climbing({ own }: Owner, seed: number): number[] {
  const random = generator(seed);
  let total = 0;
  return steps(() => {
    total += own ? Math.floor(random() * 50) : foreignSize + Math.floor(random() * 1e6);
    return total;
  }).map((value) => value ?? 0);
}

function histogram(owner: Owner & { seed: number }): Series[] {
  const name = 'http_request_duration_seconds';
  const perBucket = buckets.map((_, n) => climbing(owner, owner.seed * 100 + n));
  const upTo = (bucket: number, t: number): number =>
    perBucket.slice(0, bucket + 1).reduce((sum, values) => sum + (values[t] ?? 0), 0);
  return [
    ...buckets.map((le, n) => ({ name: `${name}_bucket`, labels: { ...owner.labels, le }, values: steps((t) => upTo(n, t)) })),
    { name: `${name}_count`, labels: { ...owner.labels }, values: steps((t) => upTo(buckets.length, t)) },
    { name: `${name}_sum`, labels: { ...owner.labels }, values: steps((t) => upTo(buckets.length, t) * 0.5) },
  ];
}

/** What is scraped, as OpenMetrics: a's own target, b's, and a shared exporter that tells of both. */
export function liveText(target: 'a' | 'b' | 'shared' | 'shared-a'): string {
  const lines = target.startsWith('shared') ? sharedLines(target === 'shared') : targetLines(target === 'a');
  return `${lines.join('\n')}\n# EOF\n`;
}

function targetLines(own: boolean): string[] {
  const word = own ? 'shop' : 'secretb';
  const size = own ? 3 : foreignSize;
  const exemplar = `# {trace_id="${word}-trace"} ${own ? 0.25 : foreignSize}`;
  return [
    `# HELP live_requests Requests that ${word} got.`,
    '# TYPE live_requests counter',
    `live_requests_total{code="200"} ${size} ${exemplar}`,
    `# HELP live_load Load of ${word}.`,
    '# TYPE live_load gauge',
    `live_load ${size}`,
    '# HELP live_seconds How long it took.',
    '# TYPE live_seconds histogram',
    `live_seconds_bucket{le="1.0"} ${size} ${exemplar}`,
    `live_seconds_bucket{le="+Inf"} ${size}`,
    `live_seconds_count ${size}`,
    `live_seconds_sum ${size}`,
    `# HELP ${own ? 'shop_only' : 'secret_b_only'} What ${word} alone has.`,
    `# TYPE ${own ? 'shop_only' : 'secret_b_only'} gauge`,
    `${own ? 'shop_only' : 'secret_b_only'} ${size}`,
    '# TYPE target info',
    `target_info{version="${word}-9"} 1`,
  ];
}

function sharedLines(all: boolean): string[] {
  return [
    '# HELP exporter_pods Pods of a namespace.',
    '# TYPE exporter_pods gauge',
    'exporter_pods{namespace="shop-prod"} 2',
    ...(all
      ? [
          `exporter_pods{namespace="secret-b",secretb_zone="secretb-1"} ${foreignSize}`,
          '# HELP secretb_quota What the secret tenant may use.',
          '# TYPE secretb_quota gauge',
          `secretb_quota{namespace="secret-b"} ${foreignSize}`,
          '# HELP exporter_nodes Nodes of the secret cluster.',
          '# TYPE exporter_nodes gauge',
          `exporter_nodes{node="secretb-node"} ${foreignSize}`,
        ]
      : []),
  ];
}

/** A tenant's rules and alerts, those of nobody that tell of both, and one of a's whose error names b's series. */
export const tenantRules: readonly object[] = [
  {
    name: 'shop',
    rules: [
      {
        record: 'shop:requests:sum',
        expr: 'sum(live_requests_total{namespace="shop-prod"})',
        labels: { namespace: 'shop-prod' },
      },
      {
        alert: 'ShopLoad',
        expr: 'live_load{namespace="shop-prod"} > 0',
        labels: { namespace: 'shop-prod', severity: 'page' },
        annotations: { summary: 'load of {{ $labels.namespace }}' },
      },
      // Two series on the right-hand side, b's among them: the error text names it.
      { record: 'shop:broken', expr: 'live_load * on(code) live_load', labels: { namespace: 'shop-prod' } },
    ],
  },
  {
    name: 'secretb-group',
    rules: [
      {
        record: 'secretb:requests:sum',
        expr: 'sum(live_requests_total{namespace="secret-b"})',
        labels: { namespace: 'secret-b' },
      },
      {
        alert: 'SecretbLoad',
        expr: 'live_load{namespace="secret-b"} > 0',
        labels: { namespace: 'secret-b' },
        annotations: { summary: 'secretb has load' },
      },
    ],
  },
  {
    name: 'secretb-everybody',
    rules: [
      { alert: 'AnyLoad', expr: 'live_load > 0', annotations: { summary: '{{ $labels.namespace }} has load {{ $value }}' } },
      { record: 'everybody:load:sum', expr: 'sum by (namespace) (live_load)' },
      // A name that stands for a's namespace among b's labels.
      { alert: 'ForgedSecretb', expr: 'vector(1)', labels: { namespace: 'secret-b', team: 'shop-prod' } },
    ],
  },
];

export interface LeakOptions {
  /** What the client itself sent: words of it may come back. */
  readonly asked?: string;
  /** Whether to look at numbers too; not for queries that make large numbers of their own. Default: yes. */
  readonly values?: boolean;
}

const foreignWord = /[\w.:-]*secret[\w.:-]*/gi;
/** As JSON, Go and URLs write characters. */
const escapes = /\\+(?:u[\da-f]{4}|U[\da-f]{8}|x[\da-f]{2}|[nrtabfv])/g;
const quotedNumber = /"([+-]?\d[\d.]*(?:e[+-]?\d+)?)"/gi;

/**
 * Every trace of somebody other than a in a text (a whole answer: status line, headers and body), each once. Numbers count
 * where JSON holds them as strings, which is how Prometheus writes values: a's stay below 1e9, those of others above 1e11.
 */
export function leaks(text: string, { asked = '', values = true }: LeakOptions = {}): string[] {
  const plain = text.replace(escapes, ' ');
  const words = [...plain.matchAll(foreignWord)]
    .map(([word]) => word.replace(/^[.:-]+|[.:-]+$/g, ''))
    .filter((word) => !asked.includes(word));
  const numbers = [...text.matchAll(quotedNumber)].map(([, number = '']) => number).filter((n) => Math.abs(Number(n)) > 1e11);
  return [...new Set([...words, ...(values ? numbers : [])])];
}
