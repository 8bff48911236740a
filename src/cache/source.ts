/** One question as the cache sees it: what is asked, of whom, and how to ask it. */
import type { Asking, Receiver } from '../upstream/ask.ts';
import type { Binding } from '../upstream/binding.ts';
import type { Asked } from './cacheable.ts';

/** Asks what the answer needs of the server, with these urlencoded parameters. `gzip`: the answer may come encoded. */
export type Source = (parameters: string, gzip: boolean, receiver: Receiver) => Asking;

export interface Question {
  readonly asked: Asked;
  readonly binding: Binding;
  readonly source: Source;
  /** The parameters of the same range query for another stretch of time, in Unix milliseconds. */
  between(start: number, end: number): string;
}
