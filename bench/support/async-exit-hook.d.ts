/** The part of async-exit-hook 2 that is used; the package brings no types. */
declare module "async-exit-hook" {
  const exitHook: {
    /** Takes its listener off this event of the process. */
    unhookEvent(event: "beforeExit" | "exit"): void;
  };
  export default exitHook;
}
