/** How the filters of confined servers read a server's answer: what does not have the documented form is never shown. */
import { PromgateError } from '../errors.ts';
import { isObject } from '../upstream/json.ts';

/** A parsed JSON object. */
export type Fields = Record<string, unknown>;

/** `data` of Prometheus' envelope `{"status":"success","data":…}`. Throws `unavailable` for anything else. */
export function successData(body: unknown): unknown {
  if (!isObject(body) || body.status !== 'success') throw malformed('no success envelope');
  return body.data;
}

/** A JSON object. Throws `unavailable` for anything else. `what` names it in the operator's log. */
export function objectOf(value: unknown, what: string): Fields {
  if (!isObject(value)) throw malformed(`${what} is no object`);
  return value;
}

/** A JSON list; Go writes an empty one as `null`, too. Throws `unavailable` for anything else. */
export function listOf(value: unknown, what: string): readonly unknown[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw malformed(`${what} is no list`);
  return value;
}

/** Labels or annotations: an object of texts, none where it is missing. Throws `unavailable` for anything else. */
export function textsOf(value: unknown, what: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  const texts = objectOf(value, what);
  if (!Object.values(texts).every((text) => typeof text === 'string')) throw malformed(`${what} holds what is no text`);
  return texts as Record<string, string>;
}

/** The refusal to show an answer that cannot be confined. `what` is for the operator's log and must quote nothing of the answer. */
export function malformed(what: string): PromgateError {
  return new PromgateError('unavailable', 'the server answered in a form that cannot be confined to this environment', {
    operator: `unexpected form of a server's answer: ${what}`,
  });
}
