import { describe, expect, it } from 'vitest';
import { bindingOf } from '../../test/support/cache-question.ts';
import { type FilterParts, filterFor } from './filters.ts';
import { findRoute } from './routes.ts';

const entry = (metric: string) => ({ target: { namespace: 'own' }, metric, type: 'gauge', help: 'text', unit: '' });
const answers: Record<string, object> = {
  '/api/v1/label/__name__/values': { status: 'success', data: ['a', 'b', 'c'] },
  '/api/v1/targets/metadata': { status: 'success', data: [entry('a'), entry('b'), entry('c')] },
};

describe('metadata of a server that confines', () => {
  // Questions that differ only in what is fixed are one question, and share an answer.
  it('has as many metrics as the server fixes, whatever the client asks for', async () => {
    const route = findRoute('/api/v1/metadata');
    if (route === null) throw new Error('no such endpoint');
    const { endpoint, upstreamPath: path } = route;
    const binding = {
      ...bindingOf(),
      scope: [{ label: 'namespace', values: ['own'] }],
      fixedParams: new Map([['limit', '2']]),
    };
    const parts = {
      guard: { capabilities: async () => ({ confinesLabels: true, kind: 'prometheus' }) },
      askServer: async (_: unknown, asked: string) => ({
        head: { status: 200 },
        body: Buffer.from(JSON.stringify(answers[asked])),
      }),
    } as unknown as FilterParts;
    const shown = async (limit: string) => {
      const question = { endpoint, path, single: new Map([['limit', limit]]), repeated: new Map(), variables: new Map() };
      const answer = await filterFor(endpoint, binding)?.(question, binding, '', parts, new AbortController().signal);
      return Object.keys(JSON.parse(String(answer?.body)).data);
    };
    expect(await shown('1')).toEqual(['a', 'b']);
    expect(await shown('3')).toEqual(['a', 'b']);
  });
});
