/**
 * Compares an answer with its JSON Schema, strictly: what is not documented is a fault, though the schema does not forbid
 * it. Knows the keywords that our own document has, and refuses others.
 */
import { z } from "zod";

const KEYWORDS = new Set(
  (
    "$ref type properties required additionalProperties items anyOf oneOf allOf enum const format description example " +
    "examples title default pattern minimum maximum exclusiveMinimum minLength maxLength minItems maxItems propertyNames"
  ).split(" "),
);

const schemaShape = z.record(z.string(), z.unknown());
type Schema = z.infer<typeof schemaShape>;

/** Where `value` differs from `schema`; `schemas` are what `#/components/schemas/…` names. */
export function schemaFaults(value: unknown, schema: unknown, schemas: Readonly<Record<string, unknown>>): string[] {
  return faults(value, schemaShape.parse(schema), "");

  function faults(part: unknown, raw: Schema, path: string): string[] {
    const { shape, unknown } = resolved(raw);
    if (unknown.length > 0) return [`${path}: this test does not know ${unknown.join(", ")}`];
    const choices = z
      .array(schemaShape)
      .optional()
      .parse(shape["anyOf"] ?? shape["oneOf"]);
    if (choices !== undefined) {
      const tried = choices.map((choice) => faults(part, choice, path));
      return tried.some((found) => found.length === 0) ? [] : (tried.toSorted((a, b) => a.length - b.length)[0] ?? []);
    }
    if (Array.isArray(shape["enum"]) && !shape["enum"].includes(part))
      return [`${path}: ${String(part)} is not listed`];
    const types = z.array(z.string()).parse([shape["type"] ?? []].flat());
    const type = typeOf(part);
    if (types.length > 0 && !types.includes(type) && !(type === "integer" && types.includes("number"))) {
      return [`${path}: is ${type}, documented as ${types.join(" or ")}`];
    }
    if (Array.isArray(part)) return part.flatMap((item, at) => itemFaults(item, shape, `${path}[${at}]`));
    return type === "object" ? objectFaults(schemaShape.parse(part), shape, path) : [];
  }

  function itemFaults(item: unknown, shape: Schema, path: string): string[] {
    return shape["items"] === undefined ? [] : faults(item, schemaShape.parse(shape["items"]), path);
  }

  function objectFaults(part: Schema, shape: Schema, path: string): string[] {
    const properties = z.record(z.string(), schemaShape).parse(shape["properties"] ?? {});
    const required = z.array(z.string()).parse(shape["required"] ?? []);
    const rest = shape["additionalProperties"];
    const missing = required.filter((key) => !(key in part)).map((key) => `${path}.${key}: is missing`);
    const wrong = Object.entries(part).flatMap(([key, inner]) => {
      const property = properties[key];
      if (property !== undefined) return faults(inner, property, `${path}.${key}`);
      if (typeof rest === "object") return faults(inner, schemaShape.parse(rest), `${path}.${key}`);
      // An object of which nothing is said may hold anything.
      const isOpen = rest === true || (rest === undefined && shape["properties"] === undefined);
      return isOpen ? [] : [`${path}.${key}: is not documented`];
    });
    return [...missing, ...wrong];
  }

  /** Follows references and folds `allOf`, as the generator writes what extends another schema. */
  function resolved(raw: Schema): { shape: Schema; unknown: string[] } {
    const unknown = Object.keys(raw).filter((keyword) => !KEYWORDS.has(keyword));
    const parts = z.array(schemaShape).parse(raw["allOf"] ?? []);
    if (typeof raw["$ref"] === "string") parts.push(schemaShape.parse(schemas[raw["$ref"].split("/").at(-1) ?? ""]));
    const folded = parts.map((part) => resolved(part));
    const all = [...folded.map(({ shape }) => shape), raw];
    const properties = Object.assign({}, ...all.map((part) => schemaShape.parse(part["properties"] ?? {})));
    const required = all.flatMap((part) => z.array(z.string()).parse(part["required"] ?? []));
    const shape = Object.assign({}, ...all, all.some((part) => "properties" in part) ? { properties, required } : {});
    return { shape: schemaShape.parse(shape), unknown: [...unknown, ...folded.flatMap((part) => part.unknown)] };
  }
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}
