/** The page of the API documentation, made of the OpenAPI document when the server starts. */
import { raw } from "hono/html";
import type { ApiDocument } from "./docs-document.ts";
import { DOCS_CSS } from "./docs-style.ts";

interface Operation {
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string;
  requestBody: unknown;
  responses: { status: string; description: string }[];
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
            <code>Authorization: Bearer andon_op_…</code>
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
        {operation.requestBody === undefined ? null : (
          <>
            <h3>Body</h3>
            <pre>{JSON.stringify(operation.requestBody, null, 2)}</pre>
          </>
        )}
        <h3>Answers</h3>
        <table>
          {operation.responses.map(({ status, description }) => (
            <tr>
              <th scope="row">{status}</th>
              <td>{description}</td>
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
          requestBody: operation.requestBody,
          responses: Object.entries<{ description?: string }>(operation.responses ?? {}).map(([status, response]) => ({
            status,
            description: response.description ?? "",
          })),
        },
      ];
    }),
  );
}
