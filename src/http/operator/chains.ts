/** Chains: ordered models that flags use, best first. */
import { deleteChain, getChain, listChains, putChain } from "../../services/models/chains.ts";
import { changed, created, routesOf, tagged } from "./noun.ts";
import { type Api, body, changeRoute, createApi, environmentParams, ifMatchOf, json } from "../openapi.ts";
import { chainBody, chainNameSchema, chainSchema, changedChainSchema } from "../../api/chain.ts";
import { deletedSchema } from "../../api/list.ts";

const tags = ["Chains"];
const params = environmentParams.extend({ name: chainNameSchema });
const routes = routesOf("Chains", "chains", "name", params);

const list = routes.list({ operationId: "listChains", summary: "All chains" }, chainSchema, "All chains by name.");

const get = routes.get({ operationId: "getChain", summary: "One chain" }, chainSchema, "The chain.");

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

const remove = routes.remove(
  { operationId: "deleteChain", summary: "Delete a chain that no flag uses" },
  "Deleted.",
  deletedSchema,
);

export function chainRoutes(): Api {
  return createApi()
    .openapi(list, async (c) => c.json(await listChains(c.get("ctx"), c.req.valid("param").env), 200))
    .openapi(get, async (c) => {
      const { env, name } = c.req.valid("param");
      return c.json(tagged(c, await getChain(c.get("ctx"), env, name)), 200);
    })
    .openapi(put, async (c) => {
      const { env, name } = c.req.valid("param");
      const made = await putChain(c.get("ctx"), env, name, c.req.valid("json"), ifMatchOf(c));
      const { warnings } = made;
      return made.created
        ? c.json({ ...created(c, `${env}/chains/${name}`, made), warnings }, 201)
        : c.json({ ...changed(c, made), warnings }, 200);
    })
    .openapi(remove, async (c) => {
      const { env, name } = c.req.valid("param");
      const { revision } = await deleteChain(c.get("ctx"), env, name, ifMatchOf(c));
      return c.json({ revision }, 200);
    });
}
