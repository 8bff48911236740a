/**
 * The table of what exists below an endpoint's prefix. What is not in it is 404: deny by default.
 * Parameters are those that Prometheus documents for each endpoint; all others are dropped, never sent on.
 * Sources: contract §5 and https://prometheus.io/docs/prometheus/latest/querying/api/.
 */
import type { Exposable } from '../directory/model.ts';

export interface Endpoint {
  /** Bounded name for metrics and logs. */
  readonly name: string;
  /** The server's path, below its URL; `{name}` is a label name. */
  readonly path: string;
  readonly methods: readonly ('GET' | 'POST')[];
  /** Parameters that have one value. */
  readonly single: readonly string[];
  /** Parameters that may be repeated. */
  readonly repeated: readonly string[];
  /** Open only where the server's record says so. */
  readonly expose?: Exposable;
  /** A good answer is an exposition format instead of JSON. */
  readonly text?: boolean;
  /**
   * What keeps an environment to itself on a server that it shares: `query` and `match` are rewritten and verified before
   * they are sent; `answer` is filtered by structure; `nothing`: no series and no names come out of it; `closed`: cannot
   * be confined, so it does not exist there.
   */
  readonly guarded: 'query' | 'match' | 'answer' | 'nothing' | 'closed';
  /** The answer is looked at on every server instead of streamed; see `filters.ts`. */
  readonly filter?: 'buildinfo' | 'format_query';
}

const both = ['GET', 'POST'] as const;
const get = ['GET'] as const;
const evaluation = ['timeout', 'limit', 'lookback_delta', 'stats'] as const;

const endpoints: readonly Endpoint[] = [
  {
    name: 'query',
    guarded: 'query',
    path: '/api/v1/query',
    methods: both,
    single: ['query', 'time', ...evaluation],
    repeated: [],
  },
  {
    name: 'query_range',
    guarded: 'query',
    path: '/api/v1/query_range',
    methods: both,
    single: ['query', 'start', 'end', 'step', ...evaluation],
    repeated: [],
  },
  {
    name: 'query_exemplars',
    guarded: 'query',
    path: '/api/v1/query_exemplars',
    methods: both,
    single: ['query', 'start', 'end'],
    repeated: [],
  },
  {
    name: 'series',
    guarded: 'match',
    path: '/api/v1/series',
    methods: both,
    single: ['start', 'end', 'limit'],
    repeated: ['match[]'],
  },
  {
    name: 'labels',
    guarded: 'match',
    path: '/api/v1/labels',
    methods: both,
    single: ['start', 'end', 'limit'],
    repeated: ['match[]'],
  },
  {
    name: 'label_values',
    guarded: 'match',
    path: '/api/v1/label/{name}/values',
    methods: get,
    single: ['start', 'end', 'limit'],
    repeated: ['match[]'],
  },
  {
    name: 'format_query',
    guarded: 'nothing',
    path: '/api/v1/format_query',
    methods: both,
    single: ['query'],
    repeated: [],
    filter: 'format_query',
  },
  { name: 'parse_query', guarded: 'nothing', path: '/api/v1/parse_query', methods: both, single: ['query'], repeated: [] },
  {
    name: 'metadata',
    guarded: 'answer',
    path: '/api/v1/metadata',
    methods: get,
    single: ['limit', 'limit_per_metric', 'metric'],
    repeated: [],
  },
  {
    name: 'rules',
    guarded: 'answer',
    path: '/api/v1/rules',
    methods: get,
    single: ['type', 'exclude_alerts', 'group_limit', 'group_next_token'],
    repeated: ['rule_name[]', 'rule_group[]', 'file[]', 'match[]'],
  },
  { name: 'alerts', guarded: 'answer', path: '/api/v1/alerts', methods: get, single: [], repeated: [] },
  {
    name: 'buildinfo',
    guarded: 'nothing',
    path: '/api/v1/status/buildinfo',
    methods: get,
    single: [],
    repeated: [],
    filter: 'buildinfo',
  },
  {
    name: 'targets',
    guarded: 'closed',
    path: '/api/v1/targets',
    methods: get,
    single: ['state', 'scrapePool'],
    repeated: [],
    expose: 'targets',
  },
  {
    name: 'tsdb',
    guarded: 'closed',
    path: '/api/v1/status/tsdb',
    methods: get,
    single: ['limit'],
    repeated: [],
    expose: 'status/tsdb',
  },
  {
    name: 'federate',
    guarded: 'closed',
    path: '/federate',
    methods: get,
    single: [],
    repeated: ['match[]'],
    expose: 'federate',
    text: true,
  },
];

/** Names for metrics of requests that reach no endpoint of the table. */
export const otherEndpoints = { health: 'health', unknown: 'unknown' } as const;

export interface Route {
  readonly endpoint: Endpoint;
  /** The path to ask the server for, below its URL. */
  readonly upstreamPath: string;
}

const fixed = new Map<string, Route>();
for (const endpoint of endpoints) {
  if (endpoint.path.includes('{')) continue;
  if (fixed.has(endpoint.path)) throw new Error(`two endpoints at ${endpoint.path}`);
  fixed.set(endpoint.path, { endpoint, upstreamPath: endpoint.path });
}

const labelPath = /^\/api\/v1\/label\/([^/]+)\/values$/;
const labelValues = endpoints.find((endpoint) => endpoint.name === 'label_values') as Endpoint;

/**
 * Finds the endpoint for a path below the prefix (raw, as the client sent it, slashes already squeezed).
 * Only a label name may be percent-encoded; it is decoded once and encoded anew. `null`: there is no such endpoint.
 */
export function findRoute(path: string): Route | null {
  const known = fixed.get(path);
  if (known !== undefined) return known;
  const encoded = labelPath.exec(path)?.[1];
  if (encoded === undefined) return null;
  const label = decodeOnce(encoded);
  if (label === null || !isPathSafe(label)) return null;
  return { endpoint: labelValues, upstreamPath: `/api/v1/label/${encodeURIComponent(label)}/values` };
}

function decodeOnce(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

/**
 * Whether a label name can stand in a path without any proxy or server on the way reading it as more than one segment.
 * Names beyond this can be asked for in Prometheus' `U__` form.
 */
function isPathSafe(label: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must be kept out
  return label !== '.' && label !== '..' && !/[\u0000-\u001f\u007f/\\%?#;]/.test(label);
}
