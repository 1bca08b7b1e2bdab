/**
 * An answer as a command reads it that may be older or newer than its server. Fields and words that this release does not
 * know pass; of what an older server does not tell, the parts of a resource are empty. The resource itself must be there.
 */
import { z } from "zod";

/** As it is read: every closed list of words is any text. */
export type Told<T> = T extends string
  ? string
  : T extends readonly (infer Item)[]
    ? Told<Item>[]
    : T extends object
      ? { [Key in keyof T]: Told<T[Key]> }
      : T;

/** The schema of an answer, made tolerant. `absent` is what stands for fields that an older server leaves out. */
export function tolerant<S extends z.ZodObject>(
  schema: S,
  absent?: Partial<Told<z.output<S>>>,
): z.ZodType<Told<z.output<S>>>;
export function tolerant(schema: z.ZodObject, absent: Readonly<Record<string, unknown>> = {}): z.ZodType {
  return z.looseObject(
    mapped(schema.shape, (field, key) => (key in absent ? loosened(field).default(absent[key]) : loosened(field))),
  );
}

function loosened(schema: z.core.$ZodType): z.ZodType {
  if (schema instanceof z.ZodObject) return z.looseObject(mapped(schema.shape, orEmpty));
  if (schema instanceof z.ZodArray) return z.array(loosened(schema.element));
  if (schema instanceof z.ZodNullable) return loosened(schema.unwrap()).nullable();
  if (schema instanceof z.ZodOptional) return loosened(schema.unwrap()).optional();
  if (schema instanceof z.ZodUnion) return z.union(schema.options.map(loosened));
  if (schema instanceof z.ZodEnum || schema instanceof z.ZodString) return z.string();
  if (schema instanceof z.ZodNumber) return z.number();
  if (schema instanceof z.ZodBoolean) return z.boolean();
  return z.unknown();
}

function orEmpty(schema: z.core.$ZodType): z.ZodType {
  const field = loosened(schema);
  if (schema instanceof z.ZodNullable) return field.default(null);
  if (schema instanceof z.ZodArray) return field.default([]);
  if (schema instanceof z.ZodNumber) return field.default(0);
  if (schema instanceof z.ZodString || schema instanceof z.ZodEnum) return field.default("");
  if (schema instanceof z.ZodBoolean) return field.default(false);
  return field instanceof z.ZodUnknown ? field.optional() : field;
}

function mapped(
  shape: Readonly<Record<string, z.core.$ZodType>>,
  change: (field: z.core.$ZodType, key: string) => z.ZodType,
): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(shape).map(([key, field]) => [key, change(field, key)]));
}
