/** The type of what an expression yields; messages use Prometheus' documented names, see `typeName`. */
export type ValueType = 'scalar' | 'vector' | 'matrix' | 'string';

export interface FunctionSignature {
  readonly args: readonly ValueType[];
  /** 0: exactly `args`. n: the last may be left out or given up to n times in all; -1: given without limit. */
  readonly variadic: number;
  readonly returns: ValueType;
  /** Prometheus 3 needs `--enable-feature=promql-experimental-functions` for it. */
  readonly experimental: boolean;
}

type Options = Partial<Pick<FunctionSignature, 'variadic' | 'returns' | 'experimental'>>;

function all(names: string, args: readonly ValueType[], options: Options = {}): [string, FunctionSignature][] {
  const signature: FunctionSignature = { args, variadic: 0, returns: 'vector', experimental: false, ...options };
  return names.split(' ').map((name) => [name, signature]);
}

const experimental = true;

/**
 * PromQL's functions: those of Prometheus 3.15 that the grammar knows, and `holt_winters` of Prometheus 2. What is not
 * here is refused. Source: Prometheus' `promql/parser/functions.go`.
 */
const signatures = new Map<string, FunctionSignature>([
  ...all('abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor ln log10 log2 rad sgn sin sinh', ['vector']),
  ...all('sort sort_desc sqrt tan tanh timestamp', ['vector']),
  ...all('histogram_avg histogram_count histogram_sum histogram_stddev histogram_stdvar', ['vector']),
  ...all('absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate', ['matrix']),
  ...all('last_over_time max_over_time min_over_time present_over_time rate resets', ['matrix']),
  ...all('stddev_over_time stdvar_over_time sum_over_time', ['matrix']),
  ...all('first_over_time mad_over_time', ['matrix'], { experimental }),
  ...all('ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time', ['matrix'], { experimental }),
  ...all('day_of_month day_of_week day_of_year days_in_month hour minute month year', ['vector'], { variadic: 1 }),
  ...all('clamp', ['vector', 'scalar', 'scalar']),
  ...all('clamp_max clamp_min', ['vector', 'scalar']),
  ...all('round', ['vector', 'scalar'], { variadic: 1 }),
  ...all('histogram_fraction', ['scalar', 'scalar', 'vector']),
  ...all('histogram_quantile', ['scalar', 'vector']),
  ...all('histogram_quantiles', ['vector', 'string', 'scalar', 'scalar'], { variadic: 9, experimental }),
  ...all('double_exponential_smoothing', ['matrix', 'scalar', 'scalar'], { experimental }),
  ...all('holt_winters', ['matrix', 'scalar', 'scalar']),
  ...all('predict_linear', ['matrix', 'scalar']),
  ...all('quantile_over_time', ['scalar', 'matrix']),
  ...all('info', ['vector', 'vector'], { variadic: 1, experimental }),
  ...all('label_replace', ['vector', 'string', 'string', 'string', 'string']),
  ...all('label_join', ['vector', 'string', 'string', 'string'], { variadic: -1 }),
  ...all('sort_by_label sort_by_label_desc', ['vector', 'string'], { variadic: -1, experimental }),
  ...all('start_timestamp', ['vector'], { experimental }),
  ...all('vector', ['scalar']),
  ...all('scalar', ['vector'], { returns: 'scalar' }),
  ...all('pi time', [], { returns: 'scalar' }),
  ...all('end range start step', [], { returns: 'scalar', experimental }),
  ...all('max_of min_of', ['scalar', 'scalar'], { returns: 'scalar', experimental }),
]);

/** The signature of a function, by its exact name; undefined: there is no such function. */
export function functionSignature(name: string): FunctionSignature | undefined {
  return signatures.get(name);
}

/** All names, sorted. */
export function functionNames(): string[] {
  return [...signatures.keys()].sort();
}

const typeNames: Record<ValueType, string> = {
  scalar: 'scalar',
  vector: 'instant vector',
  matrix: 'range vector',
  string: 'string',
};

/** As Prometheus names a type in its messages. */
export function typeName(type: ValueType): string {
  return typeNames[type];
}
