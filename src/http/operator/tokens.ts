/** Tokens: made once, shown once, revoked at once. The answer with the secret is the only place where it ever is. */
import { z } from "@hono/zod-openapi";
import { idSchema } from "../../api/fields.ts";
import { callerOf, createToken, listTokens, revokeToken } from "../../services/access/tokens.ts";
import { type Api, bareChangeRoute, body, changeRoute, createApi, futureDate, json, readRoute } from "../openapi.ts";
import { callerSchema, createdTokenSchema, tokenBody, tokenSchema } from "../../api/token.ts";

const tags = ["Tokens"];
const params = z.object({ id: idSchema });

const list = readRoute("admin", {
  method: "get",
  path: "/v1/tokens",
  tags,
  operationId: "listTokens",
  summary: "Active and revoked tokens, never their secrets",
  responses: { 200: json(z.object({ items: z.array(tokenSchema) }), "Tokens, newest first.") },
});

const caller = readRoute("any", {
  method: "get",
  path: "/v1/token",
  tags,
  operationId: "getCaller",
  summary: "What the token that asks may do",
  responses: { 200: json(callerSchema, "Its kind, role and environments.") },
});

const create = changeRoute("admin", {
  method: "post",
  path: "/v1/tokens",
  tags,
  operationId: "createToken",
  summary: "Create a token",
  request: body(tokenBody),
  responses: { 201: json(createdTokenSchema, "The token with its secret, shown this once.") },
});

const revoke = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/tokens/{id}",
  tags,
  operationId: "revokeToken",
  summary: "Revoke a token on every server, at once",
  request: { params },
  responses: { 200: json(tokenSchema, "The revoked token.") },
});

export function tokenRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listTokens(c.get("ctx")), 200))
    .openapi(caller, async (c) => c.json(await callerOf(c.get("ctx")), 200))
    .openapi(create, async (c) => {
      const { environments, expiresAt, ...input } = c.req.valid("json");
      const { token, secret } = await createToken(c.get("ctx"), {
        ...input,
        environments: environments ?? null,
        expiresAt: futureDate(c, "expiresAt", expiresAt),
      });
      c.header("Location", `/v1/tokens/${token.id}`);
      return c.json({ ...token, secret }, 201);
    })
    .openapi(revoke, async (c) => c.json(await revokeToken(c.get("ctx"), c.req.valid("param").id), 200));
}
