import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type StrictRig, startStrictRig } from './support/strict-rig.ts';
import { answerText } from './support/strict-upstream.ts';

/** A server that looks like Prometheus, as Thanos does, confines an environment, and answers as told. */
let rig: StrictRig;

beforeAll(async () => {
  rig = await startStrictRig({ server: { enforce: { namespace: 'shop-prod' }, cache: { enabled: false } } });
});

afterAll(() => rig?.close());

/** `bodies` by the last part of the path; what is not among them does not exist. */
function tell(bodies: Record<string, string>): void {
  const known: Record<string, string> = {
    buildinfo: '{"status":"success","data":{"version":"0.1","goVersion":"go1"}}',
    labels: '{"status":"success","data":[]}',
    values: '{"status":"success","data":[]}',
    ...bodies,
  };
  rig.upstream.play((socket, { target }) => {
    const body = known[target.replace(/\?.*/, '').replace(/.*\/api\/v1\/(?:status\/|label\/__name__\/)?/, '')];
    const json = ['Content-Type: application/json'];
    socket.write(
      body === undefined
        ? answerText('404 Not Found', ['Content-Type: text/plain'], '404 page not found')
        : answerText('200 OK', json, body),
    );
  });
}

async function answerTo(path: string): Promise<{ status: number; body: string }> {
  const { status, body } = await rig.send(path);
  return { status, body: body.toString() };
}

describe('a shared server that is no ordinary Prometheus', () => {
  it('has no metadata where it cannot say whose a text is', async () => {
    tell({ metadata: '{"status":"success","data":{"secret":[]}}' });
    expect(await answerTo('/api/v1/metadata')).toEqual({ status: 200, body: '{"status":"success","data":{}}' });
  });

  it('is never asked for a page of its rules, and says nothing of pages', async () => {
    tell({ rules: '{"status":"success","data":{"groups":[],"groupNextToken":"secret"}}' });
    const before = rig.upstream.requests.length;
    const query = 'group_limit=1&type=alert&group_next_token=abc&file%5B%5D=group_limit%3D1';
    expect(await answerTo(`/api/v1/rules?${query}`)).toEqual({ status: 200, body: '{"status":"success","data":{"groups":[]}}' });
    const asked = rig.upstream.requests.slice(before).map(({ target }) => new URL(target, rig.upstream.url).searchParams);
    expect(asked.map((params) => [params.get('type'), params.get('file[]')])).toEqual([['alert', 'group_limit=1']]);
    expect(asked.flatMap((params) => [...params.keys()]).filter((name) => name.startsWith('group_'))).toEqual([]);
  });

  it.each([
    ['rules', '"secret"'],
    ['rules', '{"status":"success"}'],
    ['rules', '{"status":"success","data":{"groups":[{"rules":["secret"]}]}}'],
    ['rules', '{"secret'],
    ['rules', '{"status":"error","error":"secret"}'],
    ['alerts', '{"status":"success","data":{"alerts":["secret"]}}'],
    ['targets/metadata', '{"status":"success","data":[{"help":"secret"}]}'],
    ['targets/metadata', '{"secret'],
  ])('is not shown where %s has another form: %s', async (path, body) => {
    tell({ [path]: body });
    const answer = await answerTo(`/api/v1/${path.replace('targets/', '')}`);
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.body)).toMatchObject({ status: 'error', errorType: 'unavailable' });
    expect(answer.body + rig.logs.join('\n')).not.toContain('secret');
  });
});
