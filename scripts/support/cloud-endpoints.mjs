// Google's Vertex AI and Microsoft's Foundry in front of a local Claude endpoint, each with the sign-in of its own, and the
// environment by which their packages find them. Amazon's Bedrock: bedrock-endpoint.mjs.
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const PREDICT =
  /^\/v1\/projects\/[^/]+\/locations\/[^/]+\/publishers\/anthropic\/models\/([^/]+):(rawPredict|streamRawPredict)$/;
const FOUNDRY = "/anthropic/v1/messages";
const TOKEN = "local-token";
const KEY = "local-key";

/** Starts both on one free port of 127.0.0.1; `folder` gets the credentials. */
export async function startClouds(claudeUrl, folder) {
  const server = createServer((request, response) => {
    serve(claudeUrl, request, response).catch((error) => response.destroy(error));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  // Sign-in by "workload identity federation": a token of one's own is exchanged for Google's.
  const credentials = join(folder, "google.json");
  writeFileSync(join(folder, "subject-token"), "mine");
  writeFileSync(credentials, JSON.stringify(federation(url, join(folder, "subject-token"))));
  // The packages keep the addresses of their clouds, by which a region is known: only what `fetch` connects to is another.
  const redirect = join(folder, "redirect.mjs");
  const hosts = String.raw`/^https:\/\/[^/]+\.(?:googleapis|azure)\.com/`;
  writeFileSync(
    redirect,
    `const real = fetch;\nglobalThis.fetch = (input, init) => real(String(input).replace(${hosts}, "${url}"), init);\n`,
  );
  return {
    server,
    env: {
      NODE_OPTIONS: `--import ${redirect}`,
      GOOGLE_APPLICATION_CREDENTIALS: credentials,
      GOOGLE_CLOUD_PROJECT: "shop",
      ANTHROPIC_VERTEX_PROJECT_ID: "shop",
      ANTHROPIC_FOUNDRY_API_KEY: KEY,
    },
  };
}

function federation(url, file) {
  return {
    type: "external_account",
    audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/shop/providers/local",
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    token_url: `${url}/token`,
    credential_source: { file },
  };
}

async function serve(claudeUrl, request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  const path = request.url.split("?")[0];
  if (path === "/token") {
    const issued_token_type = "urn:ietf:params:oauth:token-type:access_token";
    response.writeHead(200, { "content-type": "application/json" });
    return void response.end(
      JSON.stringify({ access_token: TOKEN, issued_token_type, token_type: "Bearer", expires_in: 3_600 }),
    );
  }
  const [, model, verb] = PREDICT.exec(path) ?? [];
  const isSignedIn =
    model === undefined ? request.headers["x-api-key"] === KEY : request.headers.authorization === `Bearer ${TOKEN}`;
  if (model === undefined && path !== FOUNDRY) return void response.writeHead(404).end();
  if (!isSignedIn) return void response.writeHead(401, { "content-type": "application/json" }).end("{}");
  const { anthropic_version: version, ...body } = JSON.parse(text);
  if (model !== undefined && typeof version !== "string") throw new Error("Vertex takes the version from the body");
  if (model !== undefined && (body.stream === true) !== (verb === "streamRawPredict")) throw new Error("not its verb");
  const answer = await fetch(`${claudeUrl}/v1/messages`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-api-key": "local", "anthropic-version": "2023-06-01" },
    body: JSON.stringify(model === undefined ? body : { ...body, model: decodeURIComponent(model) }),
  });
  response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "application/json" });
  response.end(await answer.text());
}
