/**
 * Who waits for an answer, as far as waiting goes. A poll's place goes with its socket, not with its response: of
 * requests that were sent one behind the other only the first has a response that hears of the end. And one socket has
 * one place, which its next poll takes over: answers that pile up would keep Node from reading that it closed.
 */
import type { Socket } from "node:net";

export interface PollConnection {
  /** True once nobody hears the answer any more. */
  readonly gone: boolean;
  /** Ends what waits for it, `gone` or not; null while nothing does. */
  leave: ((gone: boolean) => void) | null;
}

const connections = new WeakMap<Socket, PollConnection>();

/** The connection of a socket: the same for every request on it. */
export function connectionOfSocket(socket: Socket): PollConnection {
  let connection = connections.get(socket);
  if (connection === undefined) {
    connection = watch(socket.destroyed, (goes) => socket.once("close", goes));
    connections.set(socket, connection);
  }
  return connection;
}

/** The connection of a request that is known by its signal alone. */
export function connectionOfSignal(signal: AbortSignal): PollConnection {
  return watch(signal.aborted, (goes) => signal.addEventListener("abort", goes, { once: true }));
}

function watch(isGone: boolean, listen: (goes: () => void) => void): PollConnection {
  const connection: { gone: boolean; leave: PollConnection["leave"] } = { gone: isGone, leave: null };
  listen(() => {
    connection.gone = true;
    connection.leave?.(true);
  });
  return connection;
}
