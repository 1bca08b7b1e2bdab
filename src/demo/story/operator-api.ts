/** The operator API over HTTP, as any automation would use it. Answers are parsed: what they claim is checked. */
import { z } from "zod";

const TIMEOUT_MS = 10_000;

export const changedSchema = z.object({ revision: z.string() });
export const tokenSchema = z.object({ secret: z.string() });
export const receiptsSchema = z.object({
  revision: z.string(),
  applied: z.number(),
  live: z.number(),
  stragglers: z.array(z.object({ instance: z.string() })),
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
  lastMs: z.number().nullable(),
});
export type Receipts = z.infer<typeof receiptsSchema>;
/** A budget as far as the demo and the soak look at it. Money is whole nano-USD. */
const budgetSchema = z.object({
  id: z.string(),
  name: z.string(),
  now: z.object({
    spentNanoUsd: z.number(),
    exactNanoUsd: z.number(),
    limitNanoUsd: z.number(),
    overshootBoundNanoUsd: z.number().nullable(),
    standing: z.array(z.string()),
    trips: z.array(z.object({ flag: z.string(), action: z.string(), atPercent: z.number() })),
  }),
});
export const budgetsSchema = z.object({ items: z.array(budgetSchema) });
export type BudgetState = z.infer<typeof budgetSchema>;

export const incidentsSchema = z.object({
  items: z.array(
    z.object({
      budget: z.object({ id: z.string(), name: z.string() }).nullable(),
      steps: z.array(z.object({ at: z.string(), atPercent: z.number(), action: z.string() })),
      resolvedAt: z.string().nullable(),
      alerts: z.object({ sent: z.number(), waiting: z.number(), failed: z.number() }),
    }),
  ),
  nextCursor: z.string().nullable(),
});
export const channelSchema = z.object({ id: z.string(), secret: z.string() });

const problemSchema = z.object({ detail: z.string() });

export class OperatorApi {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
  }

  /** Throws when the answer is not a success, with the server's own words. */
  async call<T>(method: string, path: string, body: object | null, schema: z.ZodType<T>): Promise<T> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.#token}`,
        ...(body === null ? {} : { "Content-Type": "application/json" }),
      },
      body: body === null ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${detailOf(text)}`);
    return schema.parse(JSON.parse(text));
  }

  /** Makes a change; the revision it was committed as. */
  async change(method: string, path: string, body: object): Promise<string> {
    return (await this.call(method, path, body, changedSchema)).revision;
  }
}

function detailOf(text: string): string {
  try {
    const problem = problemSchema.safeParse(JSON.parse(text));
    return problem.success ? problem.data.detail : text;
  } catch {
    // Not JSON: a proxy or a crash answered, its own words say most.
    return text;
  }
}
