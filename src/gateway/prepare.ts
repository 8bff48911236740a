/**
 * A question → what is asked of the server: variables substituted, times checked, limits held, the timeout set.
 * Substitution comes before every check.
 */
import { PromgateError } from '../errors.ts';
import { checkQueryBytes, checkRange, type Limits } from '../guard/limits.ts';
import { rangeVariable, substitute } from '../guard/variables.ts';
import type { Binding } from '../upstream/binding.ts';
import type { Question } from './question.ts';
import { parseDuration, parseTime } from './time.ts';

const TIMES = ['time', 'start', 'end'] as const;
const DURATIONS = ['step', 'timeout', 'lookback_delta'] as const;

/**
 * The canonical urlencoded parameters to send: in the order of the endpoint's row, the server's fixed ones last. Changes
 * the question's own values to what is sent. Throws `bad_data` for times and durations that Prometheus could not read,
 * `limit` where a limit is exceeded.
 */
export function prepare(question: Question, binding: Binding): string {
  const { endpoint, single, repeated } = question;
  const { limits } = binding;
  const numbers = readNumbers(question);
  substituteAll(question, binding, numbers);
  checkQueryBytes(single.get('query') ?? '', repeated.get('match[]') ?? [], limits);
  const { start, end, step } = numbers;
  if (start !== undefined && end !== undefined && step !== undefined) checkRange(start, end, step, limits);
  if (endpoint.single.includes('timeout')) single.set('timeout', String(effectiveTimeout(numbers.timeout, limits) / 1000));
  return encode(question, binding.fixedParams);
}

function substituteAll({ single, repeated, variables }: Question, binding: Binding, { start, end }: Numbers): void {
  const query = single.get('query');
  const selectors = repeated.get('match[]');
  if (query?.includes('{{') !== true && selectors?.some((selector) => selector.includes('{{')) !== true) return;
  const range = start === undefined || end === undefined ? null : rangeVariable(start, end);
  const values = { predefined: binding.variables, own: variables, range };
  if (query !== undefined) single.set('query', substitute(query, values));
  if (selectors !== undefined) {
    repeated.set(
      'match[]',
      selectors.map((selector) => substitute(selector, values)),
    );
  }
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
    if (text === undefined || text === '') continue;
    const value = parseTime(text);
    if (value === null) throw malformed(name, text, 'timestamp');
    numbers[name] = value;
  }
  for (const name of DURATIONS) {
    const text = single.get(name);
    if (text === undefined || text === '') continue;
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

function encode({ endpoint, single, repeated }: Question, fixed: ReadonlyMap<string, string>): string {
  let text = '';
  const add = (name: string, value: string) => {
    text += `${text === '' ? '' : '&'}${name}=${encodeURIComponent(value)}`;
  };
  for (const name of endpoint.single) {
    const value = single.get(name) ?? '';
    if (value !== '' && !fixed.has(name)) add(name, value);
  }
  for (const name of endpoint.repeated) {
    const values = repeated.get(name);
    if (values !== undefined) for (const value of values) add(encodeURIComponent(name), value);
  }
  for (const [name, value] of fixed) add(encodeURIComponent(name), value);
  return text;
}
