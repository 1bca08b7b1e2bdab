/** A logger that says nothing: what the clients under measurement would say is no news here. */
function nothing(): void {}

export const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing };
