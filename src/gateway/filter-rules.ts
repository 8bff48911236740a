/**
 * `/api/v1/rules` and `/api/v1/alerts` of a server that confines: only what carries the environment's labels.
 *
 * A rule is the environment's when its own labels, those of the rule file, are in scope: all of it is then shown,
 * including its query and annotations, as whoever wrote it declared it to be the environment's. An alert is the
 * environment's when its labels are in scope, even where the rule behind it speaks for many environments; of such a rule nothing is shown.
 * Each object is made anew from a list of known fields. Sources: https://prometheus.io/docs/prometheus/latest/querying/api/
 * (2.42 to 3.x), Thanos (`pkg/rules/rulespb`), Mimir (`pkg/ruler/api.go`), VictoriaMetrics (`app/vmalert/rule/web.go`).
 *
 * Fields of theirs that are left out on purpose: vmalert's `headers`, `notifier_headers`, `params` and `labels` of a group
 * (they hold credentials and are shared by rules of others), `expression` and `source` of an alert (the query of a rule
 * that may not be shown) and its identifiers; Mimir's `sourceTenants` (names of other tenants); `groupNextToken` (pages are
 * counted before filtering, so the caller asks for one only); warnings and infos (texts about a server that is shared).
 */
import { fitsScope, type Scope } from '../guard/scope.ts';
import { type Fields, listOf, malformed, objectOf, successData, textsOf } from './answer-shape.ts';

type Reader = (value: unknown, name: string) => unknown;

/** Takes the place of a rule's error text: the server evaluates it unconfined, so the text may name anybody's series. */
const ERROR_TEXT = 'the evaluation of this rule failed; the server knows why';

const groupFields = new Map<string, Reader>([
  ['name', text],
  ['file', text],
  ['interval', number],
  ['limit', number],
  ['evaluationTime', number],
  ['lastEvaluation', text],
  // Thanos
  ['partialResponseStrategy', word],
]);

const ruleFields = new Map<string, Reader>([
  ['type', word],
  ['name', text],
  ['query', text],
  ['labels', textsOf],
  ['annotations', textsOf],
  ['state', word],
  ['health', word],
  ['lastError', errorText],
  ['duration', number],
  ['keepFiringFor', number],
  ['evaluationTime', number],
  ['lastEvaluation', text],
  // vmalert
  ['keep_firing_for', number],
  ['datasourceType', word],
  ['lastSamples', number],
  ['lastSeriesFetched', number],
]);

const alertFields = new Map<string, Reader>([
  ['labels', textsOf],
  ['annotations', textsOf],
  ['state', word],
  ['value', text],
  ['activeAt', text],
  ['keepFiringSince', text],
  // vmalert
  ['name', text],
  // Thanos
  ['partialResponseStrategy', word],
]);

/**
 * The answer of `/api/v1/rules` with what is in scope: rules by their own labels, of alerting rules the alerts by theirs;
 * groups without any are left out. `body` is the parsed success envelope. Throws `unavailable` where it has another form.
 */
export function filterRules(body: unknown, scope: Scope): object {
  const groups: object[] = [];
  for (const given of listOf(objectOf(successData(body), 'data').groups, 'groups')) {
    const group = objectOf(given, 'a group');
    const rules = listOf(group.rules, 'rules').flatMap((rule) => filterRule(objectOf(rule, 'a rule'), scope));
    if (rules.length > 0) groups.push({ ...pick(group, groupFields), rules });
  }
  return { status: 'success', data: { groups } };
}

/** The answer of `/api/v1/alerts` with the alerts whose labels are in scope. As {@link filterRules}. */
export function filterAlerts(body: unknown, scope: Scope): object {
  const alerts = listOf(objectOf(successData(body), 'data').alerts, 'alerts');
  return { status: 'success', data: { alerts: filterAlertList(alerts, scope) } };
}

function filterRule(rule: Fields, scope: Scope): object[] {
  if (!fitsScope(textsOf(rule.labels, 'labels'), scope)) return [];
  if (rule.type !== 'alerting' && rule.type !== 'recording') throw malformed('a rule of unknown type');
  const shown = pick(rule, ruleFields);
  if (rule.alerts === undefined) return [shown];
  const given = listOf(rule.alerts, 'alerts');
  const alerts = filterAlertList(given, scope);
  // The rule's state is that of its worst alert, which may be one that is not shown.
  if (alerts.length < given.length) shown.state = worstState(alerts);
  return [{ ...shown, alerts }];
}

function filterAlertList(alerts: readonly unknown[], scope: Scope): Fields[] {
  return alerts.flatMap((given) => {
    const alert = objectOf(given, 'an alert');
    return fitsScope(textsOf(alert.labels, 'labels'), scope) ? [pick(alert, alertFields)] : [];
  });
}

function worstState(alerts: readonly Fields[]): string {
  for (const state of ['firing', 'pending']) if (alerts.some((alert) => alert.state === state)) return state;
  return 'inactive';
}

/** The known fields, in the server's order. */
function pick(from: Fields, fields: ReadonlyMap<string, Reader>): Fields {
  const picked: Fields = {};
  for (const [name, value] of Object.entries(from)) {
    const read = fields.get(name);
    if (read !== undefined && value !== null) picked[name] = read(value, name);
  }
  return picked;
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string') throw malformed(`${name} is no text`);
  return value;
}

/** A word of a fixed vocabulary, such as `firing`: too little room for anything of anybody's. */
function word(value: unknown, name: string): string {
  if (typeof value !== 'string' || !/^[A-Za-z _-]{0,20}$/.test(value)) throw malformed(`${name} is no single word`);
  return value;
}

function number(value: unknown, name: string): number {
  if (typeof value !== 'number') throw malformed(`${name} is no number`);
  return value;
}

function errorText(value: unknown, name: string): string {
  return text(value, name) === '' ? '' : ERROR_TEXT;
}
