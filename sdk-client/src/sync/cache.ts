/**
 * The disk cache (opt-in): the last snapshot of the server, so that a process that starts while the server is away knows
 * the last state. Written atomically, readable by the owner only, and bound to server, environment and token: a file of
 * another key, or one that is not whole, is refused and left alone until the next state is written. Never holds the token.
 */
import type { AndonLogger } from "../logger.ts";
import { parseSnapshot } from "../wire/parse-snapshot.ts";
import type { Snapshot } from "../wire/protocol.ts";
import { builtin } from "../builtin.ts";
import { MAX_BODY_BYTES } from "./transport.ts";

const FORMAT = 1;
/** A file beyond this is not a cache, in bytes: a snapshot and its wrapping. */
const MAX_FILE_BYTES = 2 * MAX_BODY_BYTES;

export interface CacheOwner {
  readonly url: string;
  readonly token: string;
}

interface CacheOptions {
  readonly server: CacheOwner | null;
  readonly cacheFile: string | null;
}

interface Modules {
  fs: typeof import("node:fs");
  path: typeof import("node:path");
  crypto: typeof import("node:crypto");
}

export class SnapshotCache {
  readonly #file: string;
  readonly #owner: CacheOwner;
  readonly #logger: AndonLogger;
  readonly #modules: Modules;
  /** The latest state not yet on disk; older ones waiting are skipped. */
  #pending: Snapshot | null = null;
  #writing: Promise<void> | null = null;

  private constructor(file: string, owner: CacheOwner, logger: AndonLogger, modules: Modules) {
    this.#file = file;
    this.#owner = owner;
    this.#logger = logger;
    this.#modules = modules;
  }

  /** Null without a file to keep it in, or a server whose state to keep. */
  static openFor(this: void, { server, cacheFile }: CacheOptions, logger: AndonLogger): SnapshotCache | null {
    return server === null || cacheFile === null ? null : SnapshotCache.open(cacheFile, server, logger);
  }

  /** Null, with a log line, where there is no file system. */
  static open(file: string, owner: CacheOwner, logger: AndonLogger): SnapshotCache | null {
    const [fs, path, crypto] = [builtin("node:fs"), builtin("node:path"), builtin("node:crypto")];
    if (fs !== undefined && path !== undefined && crypto !== undefined) {
      return new SnapshotCache(path.resolve(file), owner, logger, { fs, path, crypto });
    }
    logger.error({}, 'Option "cacheFile" needs a file system; not caching');
    return null;
  }

  /** The cached snapshot; null, with a log line unless there is no file, when there is none to use. */
  load(): Snapshot | null {
    const text = this.#read();
    if (text === null) return null;
    const content = parseJson(text);
    if (typeof content !== "object" || content === null || Reflect.get(content, "format") !== FORMAT) {
      return this.#refuse("it is not a whole cache file");
    }
    const parsed = parseSnapshot(Reflect.get(content, "snapshot"));
    if (!parsed.ok) return this.#refuse(parsed.problem);
    if (Reflect.get(content, "key") !== this.#key(parsed.snapshot.environment)) {
      return this.#refuse("it belongs to another url, token or environment");
    }
    return parsed.snapshot;
  }

  /** Writes the snapshot in the background; failures are logged. */
  save(snapshot: Snapshot): void {
    this.#pending = snapshot;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  #read(): string | null {
    const { fs } = this.#modules;
    try {
      if (fs.statSync(this.#file).size > MAX_FILE_BYTES) return this.#refuse("it is too large");
      return fs.readFileSync(this.#file, "utf8");
    } catch (error) {
      // No file yet is how every cache starts; anything else is worth a line.
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
      return this.#refuse(error instanceof Error ? error.message : "it cannot be read");
    }
  }

  #refuse(why: string): null {
    this.#logger.warn({ cacheFile: this.#file, why }, "The cache file is not used");
    return null;
  }

  async #writeAll(): Promise<void> {
    while (this.#pending !== null) {
      const snapshot = this.#pending;
      this.#pending = null;
      try {
        await this.#write(snapshot);
      } catch (error) {
        // The state in memory decides; without the file only a restart while the server is away knows less.
        this.#logger.error({ cacheFile: this.#file, err: error }, "The cache file could not be written");
      }
    }
  }

  async #write(snapshot: Snapshot): Promise<void> {
    const { fs, path, crypto } = this.#modules;
    const content = JSON.stringify({ format: FORMAT, key: this.#key(snapshot.environment), snapshot });
    const temporary = `${this.#file}.${crypto.randomUUID()}.tmp`;
    await fs.promises.mkdir(path.dirname(this.#file), { recursive: true, mode: 0o700 });
    try {
      const file = await fs.promises.open(temporary, "wx", 0o600);
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
      await fs.promises.rename(temporary, this.#file);
    } catch (error) {
      await fs.promises.rm(temporary, { force: true });
      throw error;
    }
  }

  /** One digest over url, environment and the token's digest: tells owners apart and reveals none of them. */
  #key(environment: string): string {
    const sha256 = (text: string): string => this.#modules.crypto.createHash("sha256").update(text).digest("hex");
    return sha256(JSON.stringify([this.#owner.url, environment, sha256(this.#owner.token)]));
  }
}

/** Undefined when the text is not JSON: a file that was cut off or is not ours, which the caller reports. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
