import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A target on 127.0.0.1 with one native histogram (and its series of labels `kind`), in the only form in which Prometheus 2 takes
 * them: protocol buffers. Source: `io/prometheus/client/metrics.proto` in prometheus/client_model. Each scrape counts further.
 */
export async function startNativeHistograms(name: string): Promise<{ address: string; stop(): Promise<void> }> {
  let scrapes = 0;
  const server = createServer((_, response) => {
    scrapes += 1;
    const type = 'application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited';
    response.writeHead(200, { 'Content-Type': type });
    const metrics = ['both', 'positive'].map((kind) =>
      message(4, [message(1, [text(1, 'kind'), text(2, kind)]), histogram(kind)]),
    );
    const family = Buffer.concat([text(1, name), text(2, 'Test data.'), varintField(3, 4), ...metrics]);
    response.end(Buffer.concat([varint(family.length), family]));
  });
  function histogram(kind: string): Buffer {
    const positive = [message(12, [sint(1, -1), varintField(2, 2)]), message(12, [sint(1, 3), varintField(2, 1)])];
    const counts = [sint(13, scrapes), sint(13, 1), sint(13, -1)];
    const negative = kind === 'both' ? [message(9, [sint(1, 0), varintField(2, 1)]), sint(10, 2)] : [];
    const total = 3 * scrapes + 1 + (kind === 'both' ? 2 : 0) + 1;
    const sum = [varintField(1, total), double(2, scrapes / 8)];
    return message(7, [...sum, sint(5, 1), double(6, 0.001), varintField(7, 1), ...negative, ...positive, ...counts]);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A field's number and wire type (0: number, 1: eight bytes, 2: bytes of a given length). */
function key(field: number, wire: number): Buffer {
  return varint((field << 3) | wire);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([key(field, 0), varint(value)]);
}

/** Zigzag: 0, -1, 1, -2 … */
function sint(field: number, value: number): Buffer {
  return varintField(field, value < 0 ? -2 * value - 1 : 2 * value);
}

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([key(field, 1), bytes]);
}

function message(field: number, parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(parts);
  return Buffer.concat([key(field, 2), varint(bytes.length), bytes]);
}

function text(field: number, value: string): Buffer {
  return message(field, [Buffer.from(value)]);
}
