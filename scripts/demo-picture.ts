/** Writes docs/demo.svg: a terminal with what `promgate demo` really prints and what its curl line answers. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const root = join(import.meta.dirname, '..');
const columns = 118;
const lineHeight = 19;
const charWidth = 7.8;
const margin = 18;
const colors = { shell: '#8ae234', stdout: '#eeeeec', stderr: '#9aa0a6' };

interface Line {
  readonly text: string;
  readonly kind: keyof typeof colors;
}

async function record(): Promise<Line[]> {
  const lines: Line[] = [{ text: '$ make demo', kind: 'shell' }];
  const demo = spawn(join(root, 'bin/promgate'), ['demo'], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const kind of ['stderr', 'stdout'] as const) {
    demo[kind].setEncoding('utf8').on('data', (chunk: string) => {
      lines.push(
        ...chunk
          .replace(/\n$/, '')
          .split('\n')
          .map((text) => ({ text, kind })),
      );
    });
  }
  while (!lines.some(({ text }) => text.includes('Ctrl-C'))) {
    if (demo.exitCode !== null) throw new Error(lines.map(({ text }) => text).join('\n'));
    await delay(50);
  }
  const shown = [...lines];
  const curl = shown.find(({ text }) => text.startsWith('curl '))?.text ?? '';
  const answer = execFileSync('sh', ['-c', curl], { encoding: 'utf8' });
  demo.kill('SIGINT');
  await once(demo, 'close');
  return [...shown, { text: '', kind: 'stderr' }, { text: `$ ${curl}`, kind: 'shell' }, { text: answer, kind: 'stdout' }];
}

/** Tokens are cut short, so that nobody, no secret scanner either, takes the picture's for one that opens something. */
function wrap({ text, kind }: Line): Line[] {
  const short = text.replaceAll(/(promgate_\w{4})\w{34}/g, '$1…').trimEnd();
  const parts = short.match(new RegExp(`.{1,${columns}}`, 'gu')) ?? [''];
  return parts.map((part) => ({ text: part, kind }));
}

function draw(lines: readonly Line[]): string {
  const width = Math.ceil(columns * charWidth + 2 * margin);
  const height = lines.length * lineHeight + 2 * margin;
  const rows = lines.map(({ text, kind }, index) => {
    const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
    // A fixed length keeps the columns in place whatever font there is.
    const length = (text.length * charWidth).toFixed(1);
    const place = `x="${margin}" y="${margin + 14 + index * lineHeight}" textLength="${length}" lengthAdjust="spacingAndGlyphs"`;
    return text === '' ? '' : `<text ${place} fill="${colors[kind]}" xml:space="preserve">${escaped}</text>\n`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>promgate demo in a terminal</title>
<rect width="100%" height="100%" rx="8" fill="#1d1f21"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13">
${rows.join('')}</g>
</svg>
`;
}

writeFileSync(join(root, 'docs/demo.svg'), draw((await record()).flatMap(wrap)));
