/** A binding's server, asked for a stream. */
import type { Server } from '../directory/model.ts';
import { type Asking, ask, type Receiver } from './ask.ts';
import type { Binding } from './binding.ts';
import type { Pools } from './pools.ts';
import { buildRequest, type RequestOptions } from './request.ts';

/** Asks the binding's server for `path` with urlencoded `parameters`; the answer goes to `receiver`. */
export type AskStream = (
  binding: Binding,
  path: string,
  parameters: string,
  options: RequestOptions,
  receiver: Receiver,
) => Asking;

/** `onDone` hears of each outcome as `ask` tells it, with the seconds it took. */
export function createAskStream(pools: Pools, onDone: (server: Server, outcome: string, seconds: number) => void): AskStream {
  return (binding, path, parameters, options, receiver) => {
    const { server } = binding;
    const askedAt = performance.now();
    return ask(pools.for(server), server, buildRequest(binding, path, parameters, options), receiver, (outcome) => {
      onDone(server, outcome, (performance.now() - askedAt) / 1000);
    });
  };
}
