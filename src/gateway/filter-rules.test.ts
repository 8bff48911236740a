import { describe, expect, it } from 'vitest';
import { PromgateError } from '../errors.ts';
import type { Scope } from '../guard/scope.ts';
import { filterAlerts, filterRules } from './filter-rules.ts';

const scope: Scope = [{ label: 'namespace', values: ['shop-prod', 'shop-blue'] }];
const own = { namespace: 'shop-prod' };
const foreign = { namespace: 'secret-b' };

function recording(labels: unknown, more: object = {}): object {
  return { type: 'recording', name: 'x', query: 'y', labels, health: 'ok', ...more };
}

function alerting(labels: unknown, more: object = {}): object {
  return { type: 'alerting', name: 'X', query: 'y > 0', duration: 0, labels, state: 'inactive', health: 'ok', ...more };
}

function rulesOf(rules: unknown, group: object = {}): unknown {
  return { status: 'success', data: { groups: [{ name: 'g', file: 'f.yml', interval: 30, ...group, rules }] } };
}

function filteredRules(rules: unknown, limits: Scope = scope): unknown {
  return filterRules(rulesOf(rules), limits);
}

function alertsOf(alerts: unknown): unknown {
  return { status: 'success', data: { alerts } };
}

const noGroups = { status: 'success', data: { groups: [] } };

describe('filterRules', () => {
  it('keeps a rule whose own labels are in scope, with all documented fields as they were', () => {
    const rules = [
      {
        state: 'firing',
        name: 'Slow',
        query: 'latency > 1',
        duration: 60,
        keepFiringFor: 5,
        labels: { ...own, severity: 'page' },
        annotations: { summary: 'It is slow' },
        alerts: [
          {
            labels: { ...own, alertname: 'Slow' },
            annotations: { summary: 'It is slow' },
            state: 'firing',
            activeAt: '2025-06-01T08:00:00Z',
            keepFiringSince: '2025-06-01T09:00:00Z',
            value: '1.5e+00',
          },
        ],
        health: 'ok',
        lastError: '',
        evaluationTime: 0.000312,
        lastEvaluation: '2025-06-01T08:00:00.123456789Z',
        type: 'alerting',
      },
      {
        name: 'job:up:sum',
        query: 'sum by (job) (up)',
        labels: { namespace: 'shop-blue' },
        health: 'unknown',
        evaluationTime: 0.1,
        lastEvaluation: '0001-01-01T00:00:00Z',
        type: 'recording',
      },
    ];
    const body = rulesOf(rules, { limit: 10, evaluationTime: 0.5, lastEvaluation: '2025-06-01T08:00:00Z' });
    expect(filterRules(body, scope)).toEqual(body);
  });

  it.each([
    ['a value out of scope', foreign],
    ['a value that only begins like one in scope', { namespace: 'shop-prod2' }],
    ['a value in another case', { namespace: 'Shop-Prod' }],
    ['no such label', { other: 'shop-prod' }],
    ['an empty value', { namespace: '' }],
    ['a template that may become anything', { namespace: '{{ $labels.namespace }}' }],
    ['no labels', {}],
    ['labels that are null', null],
    ['labels that are missing', undefined],
  ])('drops a rule with %s', (_, labels) => {
    expect(filteredRules([recording(labels), alerting(labels)])).toEqual(noGroups);
  });

  it('does not take what every object has for a label', () => {
    for (const label of ['constructor', 'toString', '__proto__']) {
      const inherited = [{ label, values: [String(Reflect.get({}, label))] }];
      expect(filteredRules([recording({})], inherited)).toEqual(noGroups);
    }
  });

  it('needs every label of the scope', () => {
    const two: Scope = [...scope, { label: 'cluster', values: ['eu'] }];
    const both = recording({ ...own, cluster: 'eu' });
    expect(
      filteredRules([recording(own), recording({ cluster: 'eu' }), both, recording({ ...own, cluster: 'us' })], two),
    ).toEqual(rulesOf([both]));
  });

  it('drops groups that are left empty and keeps the order of the others', () => {
    const group = (name: string, ...rules: object[]) => ({ name, file: 'f', rules });
    const body = {
      status: 'success',
      data: {
        groups: [group('b', recording(foreign), recording(own)), group('secret', recording(foreign)), group('a', recording(own))],
      },
    };
    expect(filterRules(body, scope)).toEqual({
      status: 'success',
      data: { groups: [group('b', recording(own)), group('a', recording(own))] },
    });
  });

  it('of an alerting rule keeps the alerts in scope only, and its state is that of the worst of them', () => {
    const alert = (labels: object, state: string) => ({ labels, annotations: {}, state, value: '1e+00' });
    const rule = alerting(own, { state: 'firing', alerts: [alert(foreign, 'firing'), alert(own, 'pending')] });
    expect(filteredRules([rule])).toEqual(rulesOf([{ ...rule, state: 'pending', alerts: [alert(own, 'pending')] }]));
    const others = alerting(own, { state: 'firing', alerts: [alert(foreign, 'firing')] });
    expect(filteredRules([others])).toEqual(rulesOf([{ ...others, state: 'inactive', alerts: [] }]));
  });

  it('shows a rule without its alerts where they were excluded', () => {
    const rule = alerting(own, { state: 'firing' });
    expect(filteredRules([rule])).toEqual(rulesOf([rule]));
  });

  it('never shows the text of an error', () => {
    const failed = recording(own, { health: 'err', lastError: 'found duplicate series {namespace="secret-b"}' });
    const text = JSON.stringify(filteredRules([failed]));
    expect(text).not.toContain('secret-b');
    expect(text).toContain('"lastError":"the evaluation of this rule failed');
    expect(filteredRules([recording(own, { lastError: '' })])).toEqual(rulesOf([recording(own, { lastError: '' })]));
  });

  it('drops warnings, infos, the token of the next page and every field that is not known', () => {
    const alert = { labels: own, annotations: {}, state: 'firing', value: '1' };
    const rule = alerting(own, { state: 'firing' });
    const body = {
      status: 'success',
      warnings: ['secret'],
      infos: ['secret'],
      data: {
        groupNextToken: 'secret',
        totals: { secret: 1 },
        groups: [
          {
            name: 'g',
            file: 'f',
            sourceTenants: ['secret'],
            headers: ['Authorization: secret'],
            params: ['extra_label=secret'],
            labels: { secret: 'secret' },
            rules: [
              {
                ...rule,
                id: 'secret',
                debug: 'secret',
                alerts: [{ ...alert, expression: 'secret', source: 'secret', id: 'secret' }],
              },
            ],
          },
        ],
      },
    };
    expect(filterRules(body, scope)).toEqual({
      status: 'success',
      data: { groups: [{ name: 'g', file: 'f', rules: [{ ...rule, alerts: [alert] }] }] },
    });
  });

  it("keeps the fields of vmalert and Thanos that are the rule's own", () => {
    const alert = { name: 'X', labels: own, annotations: {}, state: 'firing', value: '1', partialResponseStrategy: 'WARN' };
    const rule = alerting(own, {
      keep_firing_for: 3,
      datasourceType: 'prometheus',
      lastSamples: 1,
      lastSeriesFetched: 2,
      alerts: [alert],
    });
    const body = rulesOf([rule], { partialResponseStrategy: 'ABORT' });
    expect(filterRules(body, scope)).toEqual(body);
  });

  it('takes null for an empty list and for a field that is not there', () => {
    expect(filterRules({ status: 'success', data: { groups: null } }, scope)).toEqual(noGroups);
    expect(filteredRules(null)).toEqual(noGroups);
    expect(filteredRules([alerting(own, { alerts: null, annotations: null })])).toEqual(rulesOf([alerting(own, { alerts: [] })]));
  });

  it.each([
    ['nothing', undefined],
    ['no object', 'secret'],
    ['an error', { status: 'error', data: { groups: [] } }],
    ['no data', { status: 'success' }],
    ['no groups', { status: 'success', data: {} }],
    ['groups that are no list', { status: 'success', data: { groups: { secret: 1 } } }],
    ['a group that is no object', { status: 'success', data: { groups: ['secret'] } }],
    ['a group without rules', { status: 'success', data: { groups: [{ name: 'secret' }] } }],
    ['a rule that is no object', rulesOf(['secret'])],
    ['labels that are no object', rulesOf([recording(['secret'])])],
    ['a label that is no text', rulesOf([recording({ namespace: ['secret'] })])],
    ['a rule of another type', rulesOf([recording(own, { type: 'secret' })])],
    ['a name that is no text', rulesOf([recording(own, { name: { secret: 1 } })])],
    ['a query that is no text', rulesOf([recording(own, { query: ['secret'] })])],
    ['an annotation that is no text', rulesOf([alerting(own, { annotations: { a: { secret: 1 } } })])],
    ['an error that is no text', rulesOf([recording(own, { lastError: { secret: 1 } })])],
    ['a health that is a text', rulesOf([recording(own, { health: 'err: found duplicate series {secret}' })])],
    ['a state that is a text', rulesOf([alerting(own, { state: 'firing because of {secret}' })])],
    ['a number that is none', rulesOf([recording(own, { evaluationTime: 'secret' })])],
    ['alerts that are no list', rulesOf([alerting(own, { alerts: { secret: 1 } })])],
    ['an alert that is no object', rulesOf([alerting(own, { alerts: ['secret'] })])],
  ])('refuses an answer with %s, and says nothing of it', (_, body) => {
    expect(() => filterRules(body, scope)).toThrow(PromgateError);
    try {
      filterRules(body, scope);
    } catch (error) {
      const { code, message, operator } = error as PromgateError;
      expect(code).toBe('unavailable');
      expect(message + operator).not.toContain('secret');
    }
  });
});

describe('filterAlerts', () => {
  it('keeps alerts whose labels are in scope, with their known fields, in order', () => {
    const alert = (labels: object, more: object = {}) => ({
      labels: { alertname: 'X', ...labels },
      annotations: { summary: 'text' },
      state: 'firing',
      activeAt: '2025-06-01T08:00:00Z',
      value: '1e+00',
      ...more,
    });
    const blue = alert({ namespace: 'shop-blue' });
    const body = alertsOf([alert(own, { expression: 'secret', source: 'secret' }), alert(foreign), alert({}), blue]);
    expect(filterAlerts(body, scope)).toEqual(alertsOf([alert(own), blue]));
  });

  it('drops warnings and infos', () => {
    expect(filterAlerts({ status: 'success', data: { alerts: [] }, warnings: ['a'], infos: ['b'] }, scope)).toEqual(alertsOf([]));
  });

  it('takes null for no alerts', () => {
    expect(filterAlerts(alertsOf(null), scope)).toEqual(alertsOf([]));
  });

  it.each([
    ['no object', []],
    ['an error', { status: 'error', data: { alerts: [] } }],
    ['no data', { status: 'success' }],
    ['no alerts', { status: 'success', data: {} }],
    ['alerts that are no list', alertsOf({})],
    ['an alert that is no object', alertsOf([1])],
    ['labels that are no object', alertsOf([{ labels: 'namespace="shop-prod"' }])],
    ['a value that is no text', alertsOf([{ labels: own, value: { secret: 1 } }])],
  ])('refuses an answer with %s', (_, body) => {
    expect(() => filterAlerts(body, scope)).toThrow(expect.objectContaining({ code: 'unavailable' }));
  });
});
