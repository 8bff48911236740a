/**
 * `/api/v1/metadata` of a server that confines, built anew: the server's own answer mixes the help texts of everybody's
 * targets and cannot be told apart afterwards, because it does not say which target a text is from.
 *
 * Two answers take its place: the names of the metrics that have series in scope, and `/api/v1/targets/metadata`, which says
 * the target of each text. A text is shown when its target is the environment's own, or has none of the scope's labels
 * (an exporter that serves many, such as kube-state-metrics), and its metric has series in scope.
 *
 * Seen with Prometheus 2.42:
 * - `match_target` is a selector, but not one that must refuse the empty text; an empty alternative (`=~"a|"`) is met by
 *   targets without the label.
 * - It is matched with the labels of the target after `relabel_configs`, which the entry shows as `target`: never with
 *   labels that the page itself gives its samples (`honor_labels`), nor with what `metric_relabel_configs` make of them,
 *   nor with `external_labels`. So the HELP text of a target without the label is shown to each environment that has series of
 *   the metric. Where environments decide about such texts (Pushgateway, federation), the operator must give the target a
 *   label of its own; then nobody sees them.
 * - `metric` is the name in the page's `# TYPE` and `# HELP`: for a counter without `_total` in OpenMetrics and usually with
 *   it in the older text format; without `_bucket`, `_sum`, `_count` and so on in both. Names that `metric_relabel_configs`
 *   change are not their series' any more and are not shown.
 * - The endpoint says the same once for each target: the answer grows with the number of targets in scope. Its own
 *   parameters help little: `limit` counts before the metrics are known to be visible.
 * - `/metadata` itself does not know `limit_per_metric` yet; which metrics its `limit` leaves is up to the order of a Go map.
 */
import { PromgateError } from '../errors.ts';
import { scopeSelector } from '../guard/confine.ts';
import type { Scope } from '../guard/scope.ts';
import { print } from '../promql/print.ts';
import { listOf, malformed, objectOf, successData, textsOf } from './answer-shape.ts';

/** What is asked of the server for one `/metadata` answer; both are asked at once. */
export interface MetadataSource {
  /** The values of `__name__` for {@link visibleNamesQuery}; never from a server that passes over `match[]` there. */
  visibleNames(): Promise<readonly string[]>;
  /**
   * The parsed answer of `/api/v1/targets/metadata` for {@link targetsMetadataQuery}; null where the server has no such
   * endpoint (VictoriaMetrics, Thanos, Mimir).
   */
  targetsMetadata(): Promise<unknown>;
}

interface Entry {
  readonly type: string;
  readonly help: string;
  readonly unit: string;
}

/** What a metric family's name may have behind it in the names of its series (OpenMetrics 1.0 and Prometheus' text format). */
const SUFFIXES = ['_total', '_bucket', '_sum', '_count', '_created', '_info', '_gsum', '_gcount'] as const;

/**
 * The answer of `/api/v1/metadata` for a scope. `params` are the client's `metric`, `limit` and `limit_per_metric`, with
 * Prometheus' meaning; as the answer is sorted by name, a limit always leaves the same.
 * Throws `bad_data` for a limit that is no number, `unavailable` for an answer that is not of the documented form.
 */
export async function confinedMetadata(
  source: MetadataSource,
  scope: Scope,
  params: ReadonlyMap<string, string>,
): Promise<object> {
  const limit = limitOf(params, 'limit');
  const limitPerMetric = limitOf(params, 'limit_per_metric');
  const metric = params.get('metric') ?? '';
  const [body, names] = await Promise.all([source.targetsMetadata(), source.visibleNames()]);
  const families = body === null ? new Map<string, Map<string, Entry>>() : readFamilies(body, scope);
  const hasSeries = new Set(names);
  const visible = [...families.keys()].filter((name) => {
    if (metric !== '' && name !== metric) return false;
    return hasSeries.has(name) || SUFFIXES.some((suffix) => hasSeries.has(name + suffix));
  });
  const shown = visible.sort().slice(0, limit >= 0 ? limit : undefined);
  const data = shown.map((name): [string, Entry[]] => {
    const entries = [...(families.get(name) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
    return [name, limitPerMetric > 0 ? entries.slice(0, limitPerMetric) : entries];
  });
  return { status: 'success', data: Object.fromEntries(data) };
}

/** The parameters of `/api/v1/label/__name__/values`, urlencoded. */
export function visibleNamesQuery(scope: Scope): string {
  return `${encodeURIComponent('match[]')}=${encodeURIComponent(print(scopeSelector(scope)))}`;
}

/** The parameters of `/api/v1/targets/metadata`, urlencoded: targets in scope, and those without its labels. */
export function targetsMetadataQuery(scope: Scope): string {
  const orWithout = scope.map(({ label, values }) => ({ label, values: [...values, ''] }));
  return `match_target=${encodeURIComponent(print(scopeSelector(orWithout)))}`;
}

/** Metric → its different entries, keyed by their text. Targets are looked at again: a server may not know `match_target`. */
function readFamilies(body: unknown, scope: Scope): Map<string, Map<string, Entry>> {
  const families = new Map<string, Map<string, Entry>>();
  for (const given of listOf(successData(body), 'data')) {
    const { target, metric, type, help, unit } = objectOf(given, 'an entry');
    if (target === undefined || target === null) throw malformed('an entry without target');
    if (!mayShow(textsOf(target, 'target'), scope)) continue;
    // An empty text may be left out.
    const texts = [metric, type ?? '', help ?? '', unit ?? ''];
    if (!texts.every((text) => typeof text === 'string')) throw malformed('an entry without metric, or of other than texts');
    const [name, ...rest] = texts as [string, string, string, string];
    const entry = { type: rest[0], help: rest[1], unit: rest[2] };
    const entries = families.get(name) ?? new Map<string, Entry>();
    families.set(name, entries.set(JSON.stringify(rest), entry));
  }
  return families;
}

/** Whether nothing in a target's labels says that it belongs to somebody else. */
function mayShow(target: Readonly<Record<string, string>>, scope: Scope): boolean {
  return scope.every(({ label, values }) => {
    const value = Object.hasOwn(target, label) ? (target[label] as string) : '';
    return value === '' || values.includes(value);
  });
}

/** A limit as Go's `strconv.Atoi` reads it, with Prometheus' own text where it does not; -1 where there is none. */
function limitOf(params: ReadonlyMap<string, string>, name: 'limit' | 'limit_per_metric'): number {
  const text = params.get(name) ?? '';
  if (text === '') return -1;
  if (!/^[+-]?0*[0-9]{1,18}$/.test(text)) throw new PromgateError('bad_data', `${name} must be a number`);
  return Number(text);
}
