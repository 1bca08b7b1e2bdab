/**
 * Whether a client's calls pass a guard at all. Invariant: nothing is sent to find out; what is asked is what decides in
 * the SDK: its list of middleware, and where its requests take the shape of a cloud.
 */
import type { GuardMiddleware } from "./types.ts";

/** A guard's middleware carries it, whatever copy of this package made it. */
const BRAND = Symbol.for("andon.guard");

/** The part of a client of `@anthropic-ai/sdk` (or of its Bedrock, Vertex and Foundry packages) that is looked at. */
export interface ClientLike {
  readonly middleware?: readonly unknown[] | undefined;
}

/** A client whose middleware can be added to. */
export interface GuardableClient extends ClientLike {
  withOptions(options: { middleware: GuardMiddleware[] }): this;
}

/** What is among a client's middleware. */
export function isMiddleware(value: unknown): value is GuardMiddleware {
  return typeof value === "function";
}

/** Marks middleware as that of a guard. */
export function branded<T extends object>(middleware: T): T {
  return Object.defineProperty(middleware, BRAND, { value: true });
}

/**
 * Throws when the client's calls would pass no guard, with what to change: no guard among its middleware, an SDK that
 * runs none (before 0.101), or a Bedrock or Vertex package that shapes requests before middleware sees them.
 */
export function assertGuarded(client: ClientLike): void {
  const { middleware } = client;
  if (!Array.isArray(middleware)) {
    throw new Error("This client runs no middleware, so that no guard can hold its calls: @anthropic-ai/sdk >= 0.103.");
  }
  if (!middleware.some((each: unknown) => isMiddleware(each) && BRAND in each)) {
    throw new Error("No guard is in the `middleware` of this client: its calls would be sent whatever its flag says.");
  }
  // Where a class of a cloud shapes requests itself, middleware sees none that it knows (Bedrock before 0.30.2).
  const shaping = ownersOf(client, "buildRequest").length > 1;
  const adapting = ownersOf(client, "backendMiddleware");
  const isUnadapted = adapting.length === 1 && adapting[0] !== ownersOf(client, "buildRequest")[0];
  if (shaping || isUnadapted) {
    throw new Error(
      "This client and its SDK do not show their requests to middleware: @anthropic-ai/bedrock-sdk >= 0.30.2 " +
        "(or a Vertex or Foundry package of that time) with @anthropic-ai/sdk >= 0.103.",
    );
  }
}

/** The prototypes of an object that have a method of this name as their own, nearest first. */
function ownersOf(client: object, method: string): object[] {
  const owners: object[] = [];
  for (let each: unknown = Object.getPrototypeOf(client); isProto(each); each = Object.getPrototypeOf(each)) {
    if (Object.hasOwn(each, method)) owners.push(each);
  }
  return owners;
}

function isProto(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
