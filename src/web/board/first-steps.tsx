/**
 * What a newcomer does next, in order, each ticked when it is so: chain, flag, token, the lines of code, and the first
 * instance, which is awaited live. Gone once an instance has been seen.
 */
import type { Child } from "hono/jsx";
import type { Board } from "./state.ts";

export function FirstSteps({ board, admin, publicUrl }: { board: Board; admin: boolean; publicUrl: string }) {
  const base = `/e/${board.environment.key}`;
  const flag = board.rows[0]?.flag;
  const connected = board.fleet.any;
  if (flag !== undefined && connected) return null;
  if (!admin) {
    return (
      <section class="card">
        <h2>{flag === undefined ? "No flag yet" : "No instance yet"}</h2>
        <p>
          {flag === undefined
            ? "An admin creates the first one; then it is shown here with its switch."
            : "No application has connected to this environment. An admin can create an sdk token for it."}
        </p>
      </section>
    );
  }
  const chain = board.rows.some((row) => row.flag.chain !== null);
  return (
    <section class="card steps" aria-labelledby="steps-title">
      <h2 id="steps-title">Put the first AI feature under control</h2>
      <ol>
        <Step done={chain}>
          <a href={`${base}/chains/new`}>Create a chain</a>: the models a feature may use, best first. (A flag works
          without one too; then it can be killed, not downgraded.)
        </Step>
        <Step done={flag !== undefined}>
          <a href={`${base}/flags/new`}>Create a flag</a> for the feature.
        </Step>
        <Step done={connected}>
          <a href={`${base}/tokens?kind=sdk`}>Create an sdk token</a> for the application. Its place is{" "}
          <code>ANDON_TOKEN</code> in the application's environment. (<code>ANDON_OP_TOKEN</code> is another one: an op
          token, for people, CI and the <code>andon</code> command.)
        </Step>
        <Step done={connected}>
          Put the client into the application. It is not published: do not install <code>andon</code> or{" "}
          <code>andon-client</code> by name.
          <Snippet flagKey={flag?.key ?? "support-chat"} publicUrl={publicUrl} />
        </Step>
        <li class={connected ? "done" : "waiting"} aria-live="polite">
          {connected ? (
            "The first instance is connected."
          ) : (
            <>
              <span class="pulse" aria-hidden="true"></span> Waiting for the first instance…{" "}
              <span class="dim">start the application; this turns into a tick by itself.</span>
            </>
          )}
        </li>
      </ol>
    </section>
  );
}

function Step({ done, children }: { done: boolean; children?: Child }) {
  return (
    <li class={done ? "done" : undefined}>
      {done ? <span class="unseen">Done: </span> : null}
      {children}
    </li>
  );
}

/** How the client gets into an application, until it is on npm. README and the client's own say the same lines. */
export const INSTALL_LINES = [
  "# in a clone of Andon, after npm ci:",
  "npm pack --workspace andon-client",
  "# in the application, with that file beside it:",
  "npm install ./andon-client-0.1.0.tgz @anthropic-ai/sdk",
] as const;

/** The lines an application needs, with the address of this server. The token stays out of the code. */
export function Snippet({ flagKey, publicUrl }: { flagKey: string; publicUrl: string }) {
  const code = [
    `import Anthropic from "@anthropic-ai/sdk";`,
    `import { Andon } from "andon-client";`,
    `import { guard } from "andon-client/anthropic";`,
    ``,
    `const andon = new Andon({`,
    `  url: "${publicUrl}",`,
    `  token: process.env.ANDON_TOKEN, // andon_sdk_…`,
    `});`,
    `const claude = new Anthropic({`,
    `  middleware: [guard(andon, { flag: "${flagKey}" })],`,
    `});`,
  ].join("\n");
  return (
    <>
      <div class="snippet">
        <pre tabindex={0} aria-label="Commands that install the client">
          <code id="install">{INSTALL_LINES.join("\n")}</code>
        </pre>
        <button type="button" class="quiet" data-copy="install" hidden>
          Copy the commands
        </button>
      </div>
      <div class="snippet">
        <pre tabindex={0} aria-label="Code for the application">
          <code id="snippet">{code}</code>
        </pre>
        <button type="button" class="quiet" data-copy="snippet" hidden>
          Copy the code
        </button>
      </div>
    </>
  );
}
