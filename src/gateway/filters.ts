/** Answers that are looked at before they go on. Structure decides, never text. */
import { PromgateError } from '../errors.ts';
import type { Collected } from '../upstream/collect.ts';
import type { Question } from './question.ts';

export interface Answer {
  readonly status: number;
  readonly contentType: string | null;
  readonly body: Buffer | string;
}

/**
 * The server's build information without `features`: Grafana takes a server that has any for Mimir and starts to
 * call APIs that Promgate does not open.
 */
export function filterBuildinfo(answer: Collected): Answer {
  const asIs = { status: answer.head.status, contentType: answer.head.contentType, body: answer.body };
  const parsed = parseJson(answer.body);
  if (!isObject(parsed) || !isObject(parsed.data) || parsed.data.features === undefined) return asIs;
  const { features: _, ...data } = parsed.data;
  return { ...asIs, body: JSON.stringify({ ...parsed, data }) };
}

/**
 * `format_query` as the server answered it; where the server does not have the endpoint (before Prometheus 2.39,
 * VictoriaMetrics), Promgate's own printer answers in the same form.
 */
export async function formatQuery(answer: Collected, question: Question): Promise<Answer> {
  const parsed = parseJson(answer.body);
  if (isObject(parsed) && isFormatted(parsed)) {
    return { status: answer.head.status, contentType: answer.head.contentType, body: answer.body };
  }
  return formatHere(question);
}

/** Whether a refusal by the server means that it has no `format_query`. */
export function lacksEndpoint(error: PromgateError): boolean {
  return error.code === 'not_found' || error.code === 'bad_data';
}

/** The query as Promgate's printer writes it. Throws `bad_data` where it cannot be parsed. */
export async function formatHere(question: Question): Promise<Answer> {
  // Loaded only where it is used: most servers format for themselves.
  const [{ parse }, { pretty }] = await Promise.all([import('../promql/parse.ts'), import('../promql/pretty.ts')]);
  const query = question.single.get('query') ?? '';
  try {
    return {
      status: 200,
      contentType: 'application/json',
      body: JSON.stringify({ status: 'success', data: pretty(parse(query)) }),
    };
  } catch (error) {
    throw new PromgateError('bad_data', `invalid parameter "query": ${(error as Error).message}`, { cause: error });
  }
}

/** VictoriaMetrics answers unknown paths with an envelope too, but of its own kind. */
function isFormatted(parsed: Record<string, unknown>): boolean {
  return parsed.status === 'success' ? typeof parsed.data === 'string' : parsed.errorType === 'bad_data';
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
