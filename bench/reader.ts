/**
 * A client that asks for the same answer again and again and reads it at a given speed: `node bench/reader.ts URL AUTHORIZATION SPEED`,
 * bytes per second, 0 for as fast as it comes. Prints a line for each whole answer; ends with an error for any other.
 */
import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const [url, authorization = '', speedText = '0'] = process.argv.slice(2);
if (url === undefined) throw new Error('usage: reader.ts URL AUTHORIZATION SPEED');
const speed = Number(speedText);

for (;;) {
  const bytes = await read(url);
  process.stdout.write(`read ${bytes}\n`);
}

function read(from: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get(from, { headers: authorization === '' ? {} : { authorization } }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`status ${answer.statusCode}`));
      let received = 0;
      const started = performance.now();
      answer.on('data', (chunk: Buffer) => {
        received += chunk.length;
        const ahead = speed === 0 ? 0 : (received / speed) * 1000 - (performance.now() - started);
        if (ahead < 5) return;
        answer.pause();
        void delay(ahead).then(() => answer.resume());
      });
      answer.on('error', reject);
      answer.on('end', () => resolve(received));
    });
    request.on('error', reject);
  });
}
