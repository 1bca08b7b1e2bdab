/** The page of the API documentation, made of the OpenAPI document when the server starts. */
import { z } from "@hono/zod-openapi";
import { raw } from "hono/html";
import type { ApiDocument } from "./document.ts";
import { shapeText } from "./shape.ts";
import { DOCS_CSS } from "./style.ts";

interface Operation {
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string;
  /** The shapes of what is sent and answered; null: no body. */
  request: string | null;
  responses: { status: string; description: string; shape: string | null }[];
}

const METHODS = ["get", "post", "put", "patch", "delete"] as const;

export function docsPage(document: ApiDocument) {
  const operations = operationsOf(document);
  const tags = [...new Set(operations.map(({ tag }) => tag))];
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Andon API</title>
        <style>{raw(DOCS_CSS)}</style>
      </head>
      <body>
        <main>
          <h1>{document.info.title}</h1>
          <p>{document.info.description}</p>
          <p>
            For programs: <a href="/openapi.json">openapi.json</a>. Send a token as{" "}
            <code>Authorization: Bearer andon_op_…</code>. Refusals are <a href="#shape-Problem">Problem</a>, as{" "}
            <code>application/problem+json</code>.
          </p>
          {tags.map((tag) => (
            <section>
              <h2>{tag}</h2>
              {operations.filter((operation) => operation.tag === tag).map((operation) => operationView(operation))}
            </section>
          ))}
          <h2>Shapes</h2>
          {Object.entries(document.components?.schemas ?? {}).map(([name, schema]) => (
            <details id={`shape-${name}`}>
              <summary>{name}</summary>
              <div class="inside">
                <pre>{JSON.stringify(schema, null, 2)}</pre>
              </div>
            </details>
          ))}
        </main>
      </body>
    </html>
  );
}

function operationView(operation: Operation) {
  return (
    <details>
      <summary>
        <span class="method">{operation.method}</span>
        <code>{operation.path}</code>
        <span class="quiet">{operation.summary}</span>
      </summary>
      <div class="inside">
        <p>{operation.description}</p>
        {operation.request === null ? null : (
          <>
            <h3>Body</h3>
            <pre tabindex={0}>{operation.request}</pre>
          </>
        )}
        <h3>Answers</h3>
        <table>
          {operation.responses.map(({ status, description, shape }) => (
            <tr>
              <th scope="row">{status}</th>
              <td>
                {description}
                {shape === null ? null : <pre tabindex={0}>{shape}</pre>}
              </td>
            </tr>
          ))}
        </table>
      </div>
    </details>
  );
}

function operationsOf(document: ApiDocument): Operation[] {
  return Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method];
      if (operation === undefined) return [];
      return [
        {
          method,
          path,
          tag: operation.tags?.[0] ?? "Other",
          summary: operation.summary ?? "",
          description: operation.description ?? "",
          request: bodyShape(operation.requestBody, document),
          responses: Object.entries<{ description?: string }>(operation.responses ?? {}).map(([status, response]) => ({
            status,
            description: response.description ?? "",
            // Every refusal has the shape of Problem.
            shape: status < "400" ? bodyShape(response, document) : null,
          })),
        },
      ];
    }),
  );
}

function bodyShape(message: unknown, document: ApiDocument): string | null {
  const content = z.object({ content: z.record(z.string(), z.object({ schema: z.unknown() })) }).safeParse(message)
    .data?.content;
  const schema = content?.["application/json"]?.schema;
  return schema === undefined ? null : shapeText(schema, { ...document.components?.schemas });
}
