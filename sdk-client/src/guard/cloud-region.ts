/** Whether a request goes to a regional endpoint of a cloud, which costs more than a global one. */
import { spellsRegion } from "../pricing/model-id.ts";
import { cloudRegion } from "../pricing/price.ts";

const HOSTS = [
  /\/\/bedrock-[a-z]+\.([a-z0-9-]+)\.(?:amazonaws\.com|api\.aws)/,
  /\/\/([a-z0-9-]+)-aiplatform\.googleapis\.com/,
  /\/\/aiplatform\.([a-z0-9-]+)\.rep\.googleapis\.com/,
  /\/\/aiplatform\.googleapis\.com.*\/locations\/([a-z0-9-]+)/,
] as const;
/** `eu` of `eu.anthropic.claude-opus-5-5`, an inference profile of Bedrock. */
const GEOGRAPHY = /(?:^|\/)([a-z-]+)\.anthropic\./;
const GLOBAL = "global";

/**
 * What a record's `geo` says of it; null for a global endpoint and for the provider's own API.
 * @param given the guard's option `region`: it is believed before URL and model
 */
export function placeOf(url: string, model: string, given: string | undefined): string | null {
  if (given !== undefined) return given === GLOBAL ? null : cloudRegion(given);
  if (model.startsWith("global.anthropic.")) return null;
  const region = regionInUrl(url);
  if (region === GLOBAL) return null;
  if (region !== null) return cloudRegion(region);
  return spellsRegion(model) ? cloudRegion(GEOGRAPHY.exec(model)?.[1] ?? "bedrock") : null;
}

function regionInUrl(url: string): string | null {
  // Most calls go to no cloud, and are told apart at once.
  if (!url.includes("aiplatform") && !url.includes("bedrock")) return null;
  for (const host of HOSTS) {
    const region = host.exec(url)?.[1];
    if (region !== undefined) return region;
  }
  return null;
}
