/** What every error answer must look like. */
import { expect } from "vitest";
import { z } from "zod";

const problemSchema = z.strictObject({
  type: z.string().startsWith("urn:andon:problem:"),
  title: z.string().min(1),
  status: z.number(),
  detail: z.string().min(1),
  code: z.string().min(1),
  requestId: z.string().min(1),
  errors: z
    .array(z.strictObject({ path: z.string(), message: z.string().min(1), confirm: z.string().optional() }))
    .optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** The problem of an answer with this status; fails when it is not problem+json or lacks its headers. */
export async function expectProblem(pending: Response | Promise<Response>, status: number): Promise<Problem> {
  const response = await pending;
  const text = await response.text();
  expect({ status: response.status, text }).toMatchObject({ status });
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = problemSchema.parse(JSON.parse(text));
  expect(problem.status).toBe(status);
  expect(response.headers.get("x-request-id")).toBe(problem.requestId);
  expect(response.headers.has("www-authenticate")).toBe(status === 401);
  expect(response.headers.has("retry-after")).toBe(status === 429 || status === 503);
  return problem;
}
