import { expect, it } from 'vitest';
import { didYouMean } from './suggest.ts';

const known = ['limits', 'listen', 'log_level', 'data_dir'];

it.each([
  ['limit', 'limits'],
  ['lisetn', 'listen'],
  ['log-level', 'log_level'],
  ['dataDir', 'data_dir'],
  ['LISTEN', 'listen'],
])('%s suggests %s', (word, meant) => {
  expect(didYouMean(word, known)).toBe(` (did you mean "${meant}"?)`);
});

it.each(['cache', 'x', '', 'z'.repeat(1_000_000)])('a word that resembles none suggests nothing (%#)', (word) => {
  expect(didYouMean(word, known)).toBe('');
});
