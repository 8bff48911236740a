/** The 20 panels of a service's dashboard, over what `history.ts` holds: rates and sums, quantiles, ratios, the busiest, restarts. */

const requests = 'http_requests_total{job="shop"}';
const failed = 'http_requests_total{job="shop",code=~"5.."}';
const buckets = 'http_request_duration_seconds_bucket{job="shop"}';
const cpu = 'container_cpu_usage_seconds_total{namespace="shop-prod"}';
const memory = 'container_memory_working_set_bytes{namespace="shop-prod"}';

export const panels: readonly string[] = [
  `sum(rate(${requests}[5m]))`,
  `sum by (code) (rate(${requests}[5m]))`,
  `sum by (pod) (rate(${requests}[5m]))`,
  `sum(rate(${failed}[5m])) / sum(rate(${requests}[5m]))`,
  `sum by (pod) (rate(${failed}[5m])) / sum by (pod) (rate(${requests}[5m]))`,
  `histogram_quantile(0.5, sum by (le) (rate(${buckets}[5m])))`,
  `histogram_quantile(0.99, sum by (le) (rate(${buckets}[5m])))`,
  `histogram_quantile(0.95, sum by (le, handler) (rate(${buckets}[5m])))`,
  'sum by (handler) (rate(http_request_duration_seconds_bucket{job="shop",le="+Inf"}[5m]))',
  'sum(rate(http_request_duration_seconds_bucket{job="shop",le="0.25"}[5m])) / sum(rate(http_request_duration_seconds_bucket{job="shop",le="+Inf"}[5m]))',
  `topk(5, sum by (pod) (rate(${cpu}[5m])))`,
  `sum by (container) (rate(${cpu}[5m]))`,
  `topk(5, sum by (pod) (${memory}))`,
  `max by (container) (${memory})`,
  'sum by (pod) (rate(container_network_receive_bytes_total{namespace="shop-prod"}[5m]))',
  'sum(rate(container_network_transmit_bytes_total{namespace="shop-prod"}[5m]))',
  'sum(increase(kube_pod_container_status_restarts_total{namespace="shop-prod"}[1h]))',
  'min by (pod) (avg_over_time(up{job="shop"}[10m]))',
  'quantile(0.9, go_goroutines{job="shop"})',
  'max_over_time(process_resident_memory_bytes{job="shop"}[5m])',
];
