/**
 * A page in parts: each has an id, its own HTML with marks where its children stand, and the version at which it changed
 * last. Whoever shows version n is sent the outermost parts that changed since, and nothing twice. Pure.
 */
import { raw } from "hono/html";

export interface Part {
  /** The id of its outermost element. */
  id: string;
  html: string;
  children: readonly Part[];
  /** Figures and lines of a chart change all the time: they are taken together, at their own pace. */
  pace?: "figures" | "chart";
  /** What decides that it is sent anew, when not all of `html` does: a list whose order alone changed is not. */
  identity?: string;
}

/** Which of the parts with a pace are taken now; without a pace: always. */
export type Due = Readonly<Record<"figures" | "chart", boolean>>;

/** No text of a page holds it: no database keeps it. */
const MARK = "\u0000";
const MARKS = new RegExp(`${MARK}([^${MARK}]*)${MARK}`, "g");

/** Where the part with this id stands in the HTML of its parent. */
export function Place({ id }: { id: string }) {
  return raw(`${MARK}${id}${MARK}`);
}

interface Known {
  part: Part;
  html: string;
  identity: string;
  children: readonly string[];
  changedAt: number;
}

export class PartVersions {
  #version = 0;
  #root = "";
  #known: ReadonlyMap<string, Known> = new Map();

  get version(): number {
    return this.#version;
  }

  /** Takes what the page is now. True when that is another version. */
  take(root: Part, due: Due): boolean {
    const next = new Map<string, Known>();
    const version = this.#version + 1;
    let changed = false;
    const keep = (id: string): void => {
      const known = this.#known.get(id);
      if (known === undefined) return;
      next.set(id, known);
      for (const child of known.children) keep(child);
    };
    const walk = (part: Part, isSentWithParent: boolean): void => {
      const before = this.#known.get(part.id);
      if (before?.part === part && !isSentWithParent) {
        keep(part.id);
        return;
      }
      const waits = before !== undefined && !isSentWithParent && part.pace !== undefined && !due[part.pace];
      const identity = part.identity ?? part.html;
      const isNew = !waits && before?.identity !== identity;
      changed ||= isNew;
      next.set(part.id, {
        part,
        html: waits ? before.html : part.html,
        identity: waits ? before.identity : identity,
        children: part.children.map(({ id }) => id),
        changedAt: isNew ? version : (before?.changedAt ?? version),
      });
      for (const child of part.children) walk(child, isSentWithParent || isNew);
    };
    walk(root, false);
    this.#known = next;
    this.#root = root.id;
    if (changed) this.#version = version;
    return changed;
  }

  /** The page as it is. */
  whole(): string {
    return this.#whole(this.#root);
  }

  /** The outermost parts that changed after `version`, one after the other. */
  since(version: number): string {
    const changed: string[] = [];
    const walk = (id: string): void => {
      const part = this.#known.get(id);
      if (part === undefined) return;
      if (part.changedAt > version) changed.push(this.#whole(id));
      else for (const child of part.children) walk(child);
    };
    walk(this.#root);
    return changed.join("");
  }

  #whole(id: string): string {
    return (this.#known.get(id)?.html ?? "").replaceAll(MARKS, (_, child: string) => this.#whole(child));
  }
}
