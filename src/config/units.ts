/** Durations and sizes as people write them in the configuration and in resource files. */

const durationUnits = [
  ['y', 365 * 24 * 60 * 60 * 1000],
  ['w', 7 * 24 * 60 * 60 * 1000],
  ['d', 24 * 60 * 60 * 1000],
  ['h', 60 * 60 * 1000],
  ['m', 60 * 1000],
  ['s', 1000],
  ['ms', 1],
] as const;

const durationPattern = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;

/**
 * Milliseconds of a duration as Prometheus writes it: whole numbers with the units y, w, d, h, m, s, ms, the larger first,
 * such as `30s`, `1h30m`, `31d`, `500ms`; or `0`. `null` where the text is none or too large to count exactly.
 * Source: `ParseDuration` in prometheus/common `model/time.go`.
 */
export function parseDuration(text: string): number | null {
  if (text === '0') return 0;
  const match = durationPattern.exec(text);
  if (text === '' || !match) return null;
  let total = 0;
  durationUnits.forEach(([, milliseconds], index) => {
    total += Number(match[index + 1] ?? 0) * milliseconds;
  });
  return Number.isSafeInteger(total) ? total : null;
}

/** The shortest text that {@link parseDuration} reads as the same number of milliseconds: `90000` is `1m30s`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds === 0) return '0';
  let rest = milliseconds;
  let text = '';
  for (const [unit, size] of durationUnits) {
    // Years and weeks only where they fit exactly: `31d` reads better than `4w3d`.
    if ((unit === 'y' || unit === 'w') && rest % size !== 0) continue;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/**
 * Bytes of a size: a whole number with B, KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of 1024) or nothing,
 * in any case: `64MiB`, `128KiB`, `10MB`, `4096`. `null` where the text is none or too large to count exactly.
 */
export function parseSize(text: string): number | null {
  const match = /^(\d+) ?([a-z]*)$/i.exec(text);
  if (!match) return null;
  const unit = sizeUnits[(match[2] ?? '').toUpperCase()];
  if (unit === undefined) return null;
  const bytes = Number(match[1]) * unit;
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** The shortest text that {@link parseSize} reads as the same number of bytes: `65536` is `64KiB`, `1500` is `1500B`. */
export function formatSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const size = sizeUnits[unit.toUpperCase()] ?? 1;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}
