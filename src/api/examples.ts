/** Bodies and parameters as one would write them, for the document of the API. */

/** By the operation's id. */
export const exampleBodies: Readonly<Record<string, unknown>> = {
  signIn: { username: 'anna', password: 'correct horse battery staple' },
  updatePassword: { current_password: 'correct horse battery staple', new_password: 'incorrect horse, other staple' },
  createPersonalToken: { name: 'terraform', scopes: ['directory:read', 'servers:read', 'servers:write'] },
  linkIdentity: { provider: 'gitlab' },
  createGroup: { parent: 'acme', name: 'platform', description: 'What all teams share' },
  updateGroup: { description: 'What all teams share' },
  createProject: { group: 'acme', name: 'shop' },
  updateProject: { description: 'The web shop' },
  createEnvironment: { project: 'acme/shop', name: 'production', kube_namespace: 'shop-prod' },
  updateEnvironment: { kube_namespace: 'shop-prod' },
  createMember: { of: 'acme/shop', user: 'anna', role: 'maintainer' },
  updateMember: { role: 'developer' },
  createServer: {
    of: 'acme/shop',
    name: 'main',
    url: 'https://prometheus.example:9090',
    auth: { basic: { username: 'promgate', password: 'a secret' } },
    enforce: { namespace: '{{kube_namespace}}' },
    limits: { timeout: '30s', max_range: '31d' },
  },
  updateServer: { limits: { timeout: '1m', max_range: '90d' } },
  testServer: { for: 'acme/shop:production' },
  createToken: { of: 'acme/shop:production', name: 'grafana', expires_at: '2030-01-31T00:00:00Z' },
  rotateToken: { grace: '24h' },
  createUser: { username: 'anna', name: 'Anna Example', email: 'anna@example.org' },
  updateUser: { state: 'blocked' },
  checkQuery: {
    environment: 'acme/shop:production',
    query: 'sum(rate(http_requests_total{code=~"{{codes}}"}[5m]))',
    variables: { codes: '5..' },
  },
  purgeCache: { environment: 'acme/shop:production' },
};

/** What may stand in a path for each parameter. */
export const pathParameters: Readonly<Record<string, { readonly meaning: string; readonly example: string }>> = {
  group: { meaning: 'Number, or path with `/` written `%2F`.', example: 'acme%2Fplatform' },
  project: { meaning: 'Number, or path with `/` written `%2F`.', example: 'acme%2Fshop' },
  environment: {
    meaning: 'Number, or name such as `acme/shop:production` with `/` written `%2F`.',
    example: 'acme%2Fshop:production',
  },
  user: { meaning: 'Number or username.', example: 'anna' },
};

/** Of the parameters of queries that are needed. */
export const exampleQueries: Readonly<Record<string, string>> = { of: 'acme/shop' };
