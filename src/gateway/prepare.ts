/**
 * A question → what is asked of the server: variables substituted, times checked, limits held, the timeout set.
 * Substitution comes before every check.
 */
import { PromgateError } from '../errors.ts';
import { checkQueryBytes, checkRange, type Limits } from '../guard/limits.ts';
import { rangeVariable, substitute } from '../guard/variables.ts';
import type { Binding } from '../upstream/binding.ts';
import { encodeQuestion, type Question } from './question.ts';
import { parseDuration, parseTime } from './time.ts';

export interface Prepared {
  readonly question: Question;
  /** Canonical urlencoded parameters, the server's fixed ones last. */
  readonly parameters: string;
}

const TIMES = ['time', 'start', 'end'] as const;
const DURATIONS = ['step', 'timeout', 'lookback_delta'] as const;

/** Throws `bad_data` for times and durations that Prometheus could not read, `limit` where a limit is exceeded. */
export function prepare(question: Question, binding: Binding): Prepared {
  const numbers = readNumbers(question);
  const { limits } = binding;
  const { start, end, step } = numbers;
  const predefined = binding.variables;
  const range = start === undefined || end === undefined ? null : rangeVariable(start, end);
  const variables = { predefined, own: question.variables, range };

  const single = new Map(question.single);
  const query = single.get('query');
  if (query !== undefined) single.set('query', substitute(query, variables));
  let { repeated } = question;
  const selectors = repeated.get('match[]');
  if (selectors !== undefined) {
    repeated = new Map(repeated).set(
      'match[]',
      selectors.map((selector) => substitute(selector, variables)),
    );
  }
  checkQueryBytes(query === undefined ? (repeated.get('match[]') ?? []) : [single.get('query') as string], limits);
  if (start !== undefined && end !== undefined && step !== undefined) checkRange(start, end, step, limits);
  if (question.endpoint.single.includes('timeout'))
    single.set('timeout', String(effectiveTimeout(numbers.timeout, limits) / 1000));
  for (const name of binding.fixedParams.keys()) single.delete(name);

  const prepared: Question = { ...question, single, repeated };
  return { question: prepared, parameters: withFixed(encodeQuestion(prepared), binding.fixedParams) };
}

function effectiveTimeout(asked: number | undefined, limits: Limits): number {
  return asked === undefined || asked <= 0 ? limits.timeout : Math.min(asked, limits.timeout);
}

type Numbers = Partial<Record<(typeof TIMES)[number] | (typeof DURATIONS)[number], number>>;

/** Milliseconds of all times and durations. The error texts are Prometheus' own. */
function readNumbers({ single }: Question): Numbers {
  const numbers: Numbers = {};
  for (const name of TIMES) {
    const text = single.get(name);
    if (text === undefined) continue;
    const value = parseTime(text);
    if (value === null) throw malformed(name, text, 'timestamp');
    numbers[name] = value;
  }
  for (const name of DURATIONS) {
    const text = single.get(name);
    if (text === undefined) continue;
    const value = parseDuration(text);
    if (value === null) throw malformed(name, text, 'duration');
    numbers[name] = value;
  }
  return numbers;
}

function malformed(name: string, text: string, what: string): PromgateError {
  return new PromgateError(
    'bad_data',
    `invalid parameter "${name}": cannot parse ${JSON.stringify(text.slice(0, 100))} to a valid ${what}`,
  );
}

function withFixed(parameters: string, fixed: ReadonlyMap<string, string>): string {
  let text = parameters;
  for (const [name, value] of fixed) text += `${text === '' ? '' : '&'}${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
  return text;
}
