/**
 * `POST /-/api/v1/promql/check`: what Promgate would make of a query, without asking it (docs/promql-check.md). Whoever may
 * ask the environment may ask this, as often.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Caller } from '../access/caller.ts';
import type { Target } from '../directory/model.ts';
import { bindingsOf, type GatewaySettings } from '../gateway/entrance.ts';
import type { Visit } from '../gateway/visit.ts';
import type { Guard } from '../guard/decide.ts';
import { askedProblems, type Explanation, explainQuery, type Place } from '../guard/explain.ts';
import { targetKey } from '../guard/rates.ts';
import { refuseMany } from './input.ts';
import { FaultyRequest } from './problem.ts';
import { type ApiParts, apiRoute, openTarget } from './route.ts';

export interface PromqlCheckParts extends ApiParts {
  readonly guard: Guard;
}

const timeOrDuration = z.union([z.string(), z.number()], 'must be a text or a number').transform(String).optional();
export const promqlCheckBody = z
  .strictObject(
    {
      query: z.string('must be a text'),
      environment: z.string('must be a text such as acme/shop:production').optional(),
      time: timeOrDuration,
      start: timeOrDuration,
      end: timeOrDuration,
      step: timeOrDuration,
      variables: z.record(z.string(), z.string('must be a text'), 'must be an object of texts').default({}),
    },
    { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object' : undefined) },
  )
  .superRefine((given, context) => {
    for (const { name, problem } of askedProblems(given)) context.addIssue({ code: 'custom', path: [name], message: problem });
  });

/** A plugin with the one route. */
export function promqlCheck(parts: PromqlCheckParts): (app: FastifyInstance, options: object, done: () => void) => void {
  const bindings = bindingsOf(parts);
  return apiRoute(parts, { url: '/-/api/v1/promql/check', endpoint: 'promql_check', maxBody: 1024 * 1024, answer });

  async function answer(given: unknown, caller: Caller, visit: Visit): Promise<Explanation> {
    refuseMany(given);
    const parsed = promqlCheckBody.safeParse(given);
    if (!parsed.success) throw new FaultyRequest(parsed.error.issues);
    const { query, environment, time, start, end, step, variables } = parsed.data;
    const settings = parts.settings();
    const { limits } = settings;
    const target = environment === undefined ? null : openTarget(parts, environment, caller);
    visit.target = target;
    const place: Place | null = target === null ? null : { binding: bindings(target, settings), guard: parts.guard };
    visit.server = place?.binding.server.name ?? null;
    const release = enter(caller, target, place, limits);
    try {
      const asked = { query, time, start, end, step, variables: new Map(Object.entries(variables)) };
      return await explainQuery(asked, limits, place);
    } finally {
      // Here and not at the visit's end: a client that left meanwhile has ended that already.
      release();
    }
  }

  /** Without an environment it is a question of the caller alone. */
  function enter(caller: Caller, target: Target | null, place: Place | null, limits: GatewaySettings['limits']): () => void {
    if (target === null || place === null) {
      const own = { ...limits, environmentConcurrency: 0, environmentRate: 0 };
      return parts.rates.enter({ caller: caller.key, target: '', server: 0 }, own);
    }
    const { server, limits: bound } = place.binding;
    return parts.rates.enter({ caller: caller.key, target: targetKey(target), server: server.id }, bound);
  }
}
