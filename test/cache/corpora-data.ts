/** Samples for the metrics that queries name: two hours from 1970 on, in whole numbers, with gaps and counter resets. */
import type { Matcher } from '../../src/promql/ast.ts';
import { PromqlError } from '../../src/promql/error.ts';
import { parse } from '../../src/promql/parse.ts';
import { walk } from '../../src/promql/walk.ts';

const STEP = 15;
const END = 7_200;
/** Of one metric. */
const MOST_SERIES = 6;

/** OpenMetrics text. */
export function corporaData(queries: readonly string[]): string {
  const metrics = new Map<string, Set<string>>();
  for (const { name, matchers } of selectorsOf(queries)) {
    if (!/^[a-zA-Z_:][\w:]*$/.test(name)) continue;
    const series = metrics.get(name) ?? new Set([labelsOf([], 'one'), labelsOf([], 'two')]);
    if (series.size < MOST_SERIES) series.add(labelsOf(matchers, ''));
    metrics.set(name, series);
  }
  let seed = 0;
  const families = [...metrics].sort().map(([name, series]) => {
    return `# TYPE ${name} unknown\n${[...series].map((labels) => samples(`${name}{${labels}}`, ++seed)).join('')}`;
  });
  return `${families.join('')}# EOF\n`;
}

function selectorsOf(queries: readonly string[]): { name: string; matchers: readonly Matcher[] }[] {
  const found: { name: string; matchers: readonly Matcher[] }[] = [];
  for (const query of queries) {
    try {
      walk(parse(query), (node) => {
        if (node.kind === 'VectorSelector') found.push(node);
      });
    } catch (error) {
      if (!(error instanceof PromqlError)) throw error;
    }
  }
  return found;
}

/** Labels that the matchers want, and such as the queries group by. */
function labelsOf(matchers: readonly Matcher[], instance: string): string {
  const labels = new Map<string, string>();
  if (instance !== '') labels.set('instance', instance).set('job', 'api-server');
  for (const { label, op, value } of matchers) {
    if (op === '=' && /^[a-zA-Z_]\w*$/.test(label) && label !== '__name__' && /^[\w.:/+-]+$/.test(value))
      labels.set(label, value);
  }
  return [...labels]
    .sort()
    .map(([label, value]) => `${label}="${value}"`)
    .join(',');
}

function samples(series: string, seed: number): string {
  let lines = '';
  for (let time = 0; time <= END; time += STEP) {
    const n = time / STEP;
    if ((n + 7 * seed) % 61 < 22) continue;
    lines += `${series} ${((n * ((seed % 9) + 1)) % 127) + (seed % 5)} ${time}\n`;
  }
  return lines;
}
