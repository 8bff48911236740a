/** Two answers of a real Prometheus, as the bytes that it sent: one of about 1 KB, one of about 270 KB. */
import { connect } from 'node:net';
import { startPrometheus } from '../test/support/prometheus.ts';

const START = Date.UTC(2026, 0, 1) / 1000;
const STEP = 15;
const POINTS = 240;
const SERIES = 40;

export interface Answers {
  readonly small: Buffer;
  readonly large: Buffer;
}

export async function captureAnswers(): Promise<Answers> {
  const prometheus = await startPrometheus({ data: openMetrics() });
  try {
    const end = START + (POINTS - 1) * STEP;
    return {
      small: await rawGet(
        prometheus.port,
        `/api/v1/query?query=${encodeURIComponent('http_load{pod=~"shop-[0-6]"}')}&time=${end}`,
      ),
      large: await rawGet(prometheus.port, `/api/v1/query_range?query=http_load&start=${START}&end=${end}&step=${STEP}`),
    };
  } finally {
    await prometheus.stop();
  }
}

function openMetrics(): string {
  const lines = ['# TYPE http_load gauge'];
  for (let series = 0; series < SERIES; series++) {
    for (let point = 0; point < POINTS; point++) {
      const value = (1 + Math.sin(series + point / 20)) * 40;
      lines.push(
        `http_load{job="shop",namespace="shop-production",pod="shop-${series}"} ${value.toFixed(9)} ${START + point * STEP}`,
      );
    }
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

/** One whole answer, framing included, from a connection that stays open as a proxy's would. */
function rawGet(port: number, path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`));
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      const all = Buffer.concat(chunks);
      if (!isComplete(all)) return;
      socket.destroy();
      if (!all.includes('HTTP/1.1 200 OK')) reject(new Error(`the server refused ${path}: ${all.toString().slice(0, 500)}`));
      resolve(all);
    });
  });
}

function isComplete(answer: Buffer): boolean {
  const end = answer.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const length = /content-length: (\d+)/i.exec(answer.toString('latin1', 0, end))?.[1];
  return length === undefined ? answer.subarray(-5).toString() === '0\r\n\r\n' : answer.length === end + 4 + Number(length);
}
