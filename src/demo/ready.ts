/** Whether the demo answers, as its user would see it. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Child } from './child.ts';
import type { DemoToken } from './directory.ts';

const within = 60_000;

/**
 * Waits until the endpoint shows that Prometheus has scraped so many targets with success. Throws when a program ends
 * before that, or after a minute.
 */
export async function waitForScrape(
  token: DemoToken,
  serverUrl: string,
  targets: number,
  { programs, signal }: { programs: readonly Child[]; signal: AbortSignal },
): Promise<void> {
  let death: Error | null = null;
  for (const { died } of programs) {
    died.then((error) => {
      death = error;
    });
  }
  const deadline = Date.now() + within;
  // Asked through the endpoint before it is ready, it would make Promgate log failures.
  while (!(await isReady(serverUrl)) || (await ask(token, 'up == 1', signal)).series !== targets) {
    if (death !== null) throw death;
    if (Date.now() > deadline) throw new Error(`Prometheus has not scraped all its targets within ${within / 1000} s.`);
    await delay(100, undefined, { signal });
  }
}

/** Throws, with the reason, where the server behind the endpoint does not answer a query. */
export async function checkAnswer(token: DemoToken, serverUrl: string, signal: AbortSignal): Promise<void> {
  const { error } = await ask(token, 'up', signal);
  if (error !== null) throw new Error(`${serverUrl} gives no answer: ${error}`);
}

async function isReady(serverUrl: string): Promise<boolean> {
  try {
    const answer = await fetch(`${serverUrl}/-/ready`);
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}

const envelope = z.object({ data: z.object({ result: z.array(z.unknown()) }).optional(), error: z.string().optional() });

/** The number of series of an instant query through the endpoint, or why there is no answer. */
async function ask(
  { endpoint, username, token }: DemoToken,
  query: string,
  signal: AbortSignal,
): Promise<{ series: number; error: string | null }> {
  const answer = await fetch(`${endpoint}/api/v1/query?query=${encodeURIComponent(query)}`, {
    headers: { authorization: `Basic ${Buffer.from(`${username}:${token}`).toString('base64')}` },
    signal,
  });
  const { data, error } = envelope.parse(await answer.json());
  return { series: data?.result.length ?? 0, error: answer.ok ? null : (error ?? `status ${answer.status}`) };
}
