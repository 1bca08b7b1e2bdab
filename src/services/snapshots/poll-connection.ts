/**
 * Who waits for an answer, as far as waiting goes. A poll's place goes with its socket, not with its response: of
 * requests that were sent one behind the other only the first has a response that hears of the end. And one socket has
 * one place, which its next poll takes over: answers that pile up would keep Node from reading that it closed.
 */
import type { Socket } from "node:net";

export interface Peer {
  /** True once nobody hears the answer any more. */
  readonly gone: boolean;
  /** Ends what waits for it, `gone` or not; null while nothing does. */
  leave: ((gone: boolean) => void) | null;
}

const peers = new WeakMap<Socket, Peer>();

/** The peer of a socket: the same for every request on it. */
export function peerOfSocket(socket: Socket): Peer {
  let peer = peers.get(socket);
  if (peer === undefined) {
    peer = watch(socket.destroyed, (goes) => socket.once("close", goes));
    peers.set(socket, peer);
  }
  return peer;
}

/** The peer of a request that is known by its signal alone. */
export function peerOfSignal(signal: AbortSignal): Peer {
  return watch(signal.aborted, (goes) => signal.addEventListener("abort", goes, { once: true }));
}

function watch(isGone: boolean, listen: (goes: () => void) => void): Peer {
  const peer: { gone: boolean; leave: Peer["leave"] } = { gone: isGone, leave: null };
  listen(() => {
    peer.gone = true;
    peer.leave?.(true);
  });
  return peer;
}
