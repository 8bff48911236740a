/**
 * Requests that came behind others on one connection, whose turn to be answered had not come when it broke. Node tells nobody that
 * these are over (seen in 24): what their answers hold, and the places they take among those that run, would stay for ever.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Those that wait, by their connection. */
const queues = new WeakMap<Socket, Set<ServerResponse>>();

/** Sees to it that the response hears of the end of its connection. */
export function followQueued({ socket }: IncomingMessage, response: ServerResponse): void {
  // Its turn has come, as it nearly always has.
  if (response.socket !== null) return;
  const queue = queues.get(socket) ?? newQueue(socket);
  queue.add(response);
  response.once('close', () => queue.delete(response));
}

function newQueue(socket: Socket): Set<ServerResponse> {
  const queue = new Set<ServerResponse>();
  queues.set(socket, queue);
  socket.once('close', () => {
    for (const response of queue) {
      // Of those whose turn has come Node tells.
      if (response.socket !== null || response.writableFinished) continue;
      response.destroy();
      response.emit('close');
    }
  });
  return queue;
}
