/**
 * Loaded into every child process of the demo and the bench (`--import`): the child ends when its parent has gone,
 * however that died. Invariant: it never keeps a child alive that would have ended by itself.
 */
if (process.channel !== undefined) {
  process.once("disconnect", () => process.exit(1));
  // The listener above would hold the process; the channel's end is still noticed while anything else does.
  process.channel?.unref();
}
