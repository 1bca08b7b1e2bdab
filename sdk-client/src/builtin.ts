/**
 * Node's built-in modules, where there are any. By itself, as it is the one place with types of Node: no public type leads
 * here, so that applications can be compiled without them.
 */
interface BuiltinModules {
  "node:crypto": typeof import("node:crypto");
  "node:fs": typeof import("node:fs");
  "node:http": typeof import("node:http");
  "node:https": typeof import("node:https");
  "node:os": typeof import("node:os");
  "node:path": typeof import("node:path");
  "node:zlib": typeof import("node:zlib");
}

/** A built-in module of Node (Bun and Deno have them too); undefined elsewhere. Keeps bundlers from resolving them. */
export function builtin<Name extends keyof BuiltinModules>(name: Name): BuiltinModules[Name] | undefined {
  try {
    return typeof process === "undefined" ? undefined : process.getBuiltinModule(name);
  } catch {
    // Older and other runtimes lack the function; the `process` of Next.js's edge runtime has functions that throw.
    return undefined;
  }
}
