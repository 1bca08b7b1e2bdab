/** Chains: ordered models that flags use, best first. */
import { deleteChain, getChain, listChains, putChain } from "../../services/models/chains.ts";
import {
  type Api,
  bareChangeRoute,
  body,
  changeRoute,
  createApi,
  environmentParams,
  ifMatchOf,
  json,
  readRoute,
  setEtag,
} from "../openapi.ts";
import { chainSchema, changedChainSchema } from "../../api/chain.ts";
import { deletedSchema, listOf } from "../../api/list.ts";
import { chainBody, chainNameSchema } from "../../api/chain.ts";

const tags = ["Chains"];
const params = environmentParams.extend({ name: chainNameSchema });

const list = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/chains",
  tags,
  operationId: "listChains",
  summary: "All chains",
  request: { params: environmentParams },
  responses: { 200: json(listOf(chainSchema), "All chains by name.") },
});

const get = readRoute("viewer", {
  method: "get",
  path: "/v1/environments/{env}/chains/{name}",
  tags,
  operationId: "getChain",
  summary: "One chain",
  request: { params },
  responses: { 200: json(chainSchema, "The chain.") },
});

const put = changeRoute("admin", {
  method: "put",
  path: "/v1/environments/{env}/chains/{name}",
  tags,
  operationId: "putChain",
  summary: "Create a chain or replace its steps",
  request: { params, ...body(chainBody) },
  responses: {
    200: json(changedChainSchema, "The chain as it is now."),
    201: json(changedChainSchema, "The new chain."),
  },
});

const remove = bareChangeRoute("admin", {
  method: "delete",
  path: "/v1/environments/{env}/chains/{name}",
  tags,
  operationId: "deleteChain",
  summary: "Delete a chain that no flag uses",
  request: { params },
  responses: { 200: json(deletedSchema, "Deleted.") },
});

export function chainRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listChains(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(get, async (c) => {
      const { env, name } = c.req.valid("param");
      const chain = await getChain(c.get("ctx"), env, name);
      setEtag(c, chain.version);
      return c.json(chain, 200);
    })
    .openapi(put, async (c) => {
      const { env, name } = c.req.valid("param");
      const { value, revision, created, warnings } = await putChain(
        c.get("ctx"),
        env,
        name,
        c.req.valid("json"),
        ifMatchOf(c),
      );
      setEtag(c, value.version);
      if (!created) return c.json({ ...value, revision, warnings }, 200);
      c.header("Location", `/v1/environments/${env}/chains/${name}`);
      return c.json({ ...value, revision, warnings }, 201);
    })
    .openapi(remove, async (c) => {
      const { env, name } = c.req.valid("param");
      const { revision } = await deleteChain(c.get("ctx"), env, name, ifMatchOf(c));
      return c.json({ revision }, 200);
    });
}
