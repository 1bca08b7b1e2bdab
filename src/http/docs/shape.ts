/**
 * A JSON schema as a person reads it: fields a line each, `?` for what may be left out, shapes with a name written out
 * where they are used. Bounded in depth: below that a shape is its name, and stands whole under Shapes.
 */

type Schema = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 5;
const INDENT = "  ";
const REF = "#/components/schemas/";

/** The shape of `schema`; `named` are the document's components. */
export function shapeText(schema: unknown, named: Schema): string {
  return shape(schema, named, 0, []);
}

function shape(given: unknown, named: Schema, depth: number, within: readonly string[]): string {
  if (!isSchema(given)) return "anything";
  const { $ref: ref, enum: values, const: constant, type } = given;
  if (typeof ref === "string") {
    const name = ref.slice(REF.length);
    return depth >= MAX_DEPTH || within.includes(name) ? name : shape(named[name], named, depth, [...within, name]);
  }
  if (constant !== undefined) return JSON.stringify(constant);
  if (Array.isArray(values)) return values.map((value) => JSON.stringify(value)).join(" | ");
  for (const [key, joint] of [
    ["anyOf", " | "],
    ["oneOf", " | "],
    ["allOf", " & "],
  ] as const) {
    const parts = given[key];
    if (Array.isArray(parts)) {
      const texts = parts.map((part) => shape(part, named, depth, within)).filter((text) => text !== "anything");
      return texts.length === 0 ? "anything" : [...new Set(texts)].join(joint);
    }
  }
  const types = (Array.isArray(type) ? type : [type]).map(String);
  return types.map((one) => ofType(one, given, named, depth, within)).join(" | ");
}

function ofType(type: string, schema: Schema, named: Schema, depth: number, within: readonly string[]): string {
  switch (type) {
    case "object":
      return object(schema, named, depth, within);
    case "array": {
      const inner = shape(schema["items"], named, depth, within);
      return inner.includes(" | ") && !inner.startsWith("{") ? `(${inner})[]` : `${inner}[]`;
    }
    case "string":
      return typeof schema["format"] === "string" ? `string (${schema["format"]})` : "string";
    case "integer":
    case "number":
    case "boolean":
    case "null":
      return type;
    default:
      return "anything";
  }
}

function object(schema: Schema, named: Schema, depth: number, within: readonly string[]): string {
  const { properties, required, additionalProperties: others } = schema;
  const known = isSchema(properties) ? Object.entries(properties) : [];
  const isRequired = (name: string) => Array.isArray(required) && required.includes(name);
  if (depth >= MAX_DEPTH) return "{ … }";
  const pad = INDENT.repeat(depth + 1);
  const lines = known.map(([name, field]) => {
    const note = noteOf(field);
    const text = shape(field, named, depth + 1, within);
    return `${pad}${name}${isRequired(name) ? "" : "?"}: ${text}${note === null ? "" : `  // ${note}`}`;
  });
  // Only of a shape without fields of its own; beside some it says that unknown ones are ignored.
  if (isSchema(others) && known.length === 0) {
    lines.push(`${pad}[name]: ${shape(others, named, depth + 1, within)}`);
  }
  return lines.length === 0 ? "{}" : `{\n${lines.join("\n")}\n${INDENT.repeat(depth)}}`;
}

function noteOf(field: unknown): string | null {
  if (!isSchema(field)) return null;
  const { description, example } = field;
  if (typeof description === "string") return description;
  return typeof example === "string" ? `such as ${example}` : null;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
