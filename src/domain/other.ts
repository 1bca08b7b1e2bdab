/** Names beyond a bound are counted under this one. No flag may be called so; no budget of a flag or model counts it. */
export const OTHER = "other";
/** In place of a flag's key, of all names that no flag has. No key is empty. */
export const UNDEFINED = "";
