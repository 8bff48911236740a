import { createAccount, hashNewPassword } from '../../src/access/accounts.ts';
import { createPasswords } from '../../src/access/passwords.ts';
import { commandLineActor } from '../../src/ops/audit.ts';
import { openDatabase } from '../../src/storage/database.ts';
import type { Row } from '../../src/storage/schema.ts';
import type { TestPromgate } from './promgate.ts';

export const password = 'correct horse battery';

/** Makes an account with {@link password}. */
export async function makePerson(
  promgate: Pick<TestPromgate, 'settings'>,
  username: string,
  { admin = false, hasPassword = true }: { admin?: boolean; hasPassword?: boolean } = {},
): Promise<Row<'users'>> {
  const passwordHash = hasPassword ? await hashNewPassword(createPasswords(), password, username) : null;
  const database = await openDatabase(promgate.settings);
  try {
    return await database.write((trx) =>
      createAccount(trx, { username, admin, passwordHash }, commandLineActor('tester'), Date.now()),
    );
  } finally {
    await database.close();
  }
}

export interface PageAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  /** Of the session cookie that was set; empty: none. */
  readonly cookie: string;
}

export interface PageRequest {
  readonly form?: Record<string, string>;
  /** `name=value` */
  readonly cookie?: string;
  readonly headers?: Record<string, string>;
}

/** One request as a browser makes it, without following redirects: a POST where there is a form. */
export async function askPage(url: string, { form, cookie, headers = {} }: PageRequest = {}): Promise<PageAnswer> {
  const answer = await fetch(url, {
    method: form === undefined ? 'GET' : 'POST',
    redirect: 'manual',
    headers: { accept: 'text/html', ...(cookie === undefined ? {} : { cookie }), ...headers },
    ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
  });
  const set = answer.headers.getSetCookie().find((each) => /promgate_session=/.test(each)) ?? '';
  return { status: answer.status, headers: answer.headers, body: await answer.text(), cookie: set.split(';')[0] ?? '' };
}

/** The cookie of a new session, `name=value`. `base` is where the pages are, without trailing slash. */
export async function signIn(base: string, username: string, options: Omit<PageRequest, 'form'> = {}): Promise<string> {
  const answer = await askPage(`${base}/login`, { ...options, form: { username, password } });
  if (answer.status !== 303) throw new Error(`${username} could not sign in: ${answer.status} ${answer.body}`);
  return answer.cookie;
}

/** What the page's form has in its hidden field. */
export function hiddenField(page: PageAnswer, name: string): string {
  return new RegExp(`name="${name}" value="([^"]*)"`).exec(page.body)?.[1] ?? '';
}
