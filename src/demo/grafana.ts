export interface DataSource {
  /** As people find it in Grafana. */
  readonly name: string;
  /** Of the endpoint: what stands before `/api/v1/`. */
  readonly url: string;
  readonly username: string;
  readonly token: string;
}

/**
 * A provisioning file for Grafana's data source of type Prometheus.
 * Source: Grafana's documentation, "Provision the Prometheus data source".
 */
export function grafanaDataSource({ name, url, username, token }: DataSource): string {
  return `# Belongs into Grafana's directory provisioning/datasources. Holds a secret.
apiVersion: 1
datasources:
  - name: ${quoted(name)}
    type: prometheus
    access: proxy
    url: ${quoted(url)}
    basicAuth: true
    basicAuthUser: ${quoted(username)}
    secureJsonData:
      basicAuthPassword: ${quoted(token)}
    jsonData:
      httpMethod: POST
      prometheusType: Prometheus
`;
}

/** A JSON string is one of YAML, too. Grafana replaces `$NAME` by a variable of its environment; `$$` stands for the sign. */
function quoted(text: string): string {
  return JSON.stringify(text.replaceAll('$', '$$$$'));
}
