/** The OpenAPI document: what `/openapi.json` serves and `/docs` is made of. */
import type { Api } from "../openapi.ts";

const OPENAPI_VERSION = "3.1.0";
const API_VERSION = "1";
const DESCRIPTION =
  "Kill switches, model-fallback chains and model blocks of applications that call Claude. Every change answers with the " +
  "resource and the environment's new `revision`. Errors are RFC 9457 `application/problem+json`. A resource with a `version` " +
  "has an `ETag`; edits take `If-Match`, kill and downgrade ignore it.";

export type ApiDocument = ReturnType<Api["getOpenAPI31Document"]>;

/** The OpenAPI document of `api`. */
export function documentOf(api: Api): ApiDocument {
  return api.getOpenAPI31Document({
    openapi: OPENAPI_VERSION,
    info: {
      title: "Andon API",
      version: API_VERSION,
      description: DESCRIPTION,
      license: { name: "Apache-2.0" },
    },
  });
}
