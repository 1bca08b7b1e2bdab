/**
 * Guards inside each other: a client with several guards sends each request through all of them. Invariant: an attempt
 * is recorded by exactly one of them, the innermost, which alone knows the model that was really sent.
 */
import { isMiddlewareOrder } from "./errors.ts";
import { findFeatureDisabled } from "../feature-disabled-error.ts";
import type { Place } from "./limits.ts";

/** What a guard leaves for those inside it. */
export interface Layer {
  readonly flag: string;
  /** What the `andon-*` headers said of the call: the guard that comes first takes them off. */
  readonly user: string | null;
  readonly session: string | null;
  /** A guard inside has taken the attempt that is under way: it records it, or refused to send it. */
  isTaken: boolean;
  /** Where the call is counted for its flag's limits: what a guard inside records is counted there too. */
  place: Place | null;
  /** What is set aside for the attempt under way: a guard inside sets aside for it by itself. */
  deposit: { cancel(): void } | null;
}

/**
 * On the signal of each attempt, which only what is inside of that attempt is given. Not on the call: other middleware may
 * send one call several times, one after the other through the same guard. A `WeakMap` would cost the collector dearly.
 */
const LAYER = Symbol("andon.layer");

type Marked = AbortSignal & { [LAYER]?: Layer };

/** The guard around a request; undefined for the outermost. */
export function layerAround(signal: AbortSignal | null | undefined): Layer | undefined {
  const marked: Marked | null | undefined = signal;
  return marked?.[LAYER];
}

/** To be called before a guard sends on with this signal: guards inside will find its layer. */
export function sendsWith(layer: Layer, signal: Marked): void {
  layer.isTaken = false;
  signal[LAYER] = layer;
}

/**
 * True when a guard inside has said no, or the middleware is in the wrong order, which holds for every model. That a guard
 * has no model for this one does not: there may be one for the next.
 */
export function isInnerNo(error: unknown): boolean {
  if (isMiddlewareOrder(error)) return true;
  const no = findFeatureDisabled(error);
  return no !== null && no.reason !== "NO_MODEL";
}
