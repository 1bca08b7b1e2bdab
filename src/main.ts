/**
 * The server's process: configuration, boot, listen, and a drain that answers every parked poll before it exits. Faults
 * of the operator are told in words on stderr, without a stack.
 */
import { serve, type ServerType } from "@hono/node-server";
import { createApp } from "./app.ts";
import { boot, type Runtime } from "./boot.ts";
import { ConfigError, readEnvironment, type Settings, VARIABLES } from "./config.ts";
import { SIGN_IN_LINK_HOURS } from "./domain/limits.ts";
import { StartError } from "./start-error.ts";
import { version } from "./version.ts";

/** From the signal to the exit, whatever hangs. */
const DRAIN_MS = 10_000;
/** Answers under way get so long to be written before their connections are closed. */
const CONNECTIONS_GRACE_MS = 1000;
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

async function main(): Promise<void> {
  const [argument] = process.argv.slice(2);
  if (argument === "--version") {
    console.log(version());
    return;
  }
  if (argument === "--help") {
    console.log(help());
    return;
  }
  if (argument !== undefined) throw new ConfigError([`unknown argument ${argument}; see --help`]);
  const settings = readEnvironment();
  console.log(`Andon ${version()} is starting.`);
  const runtime = await boot(settings, { say });
  try {
    say(`Listening on ${settings.host}`);
    const server = await listen(settings, runtime);
    announce(settings, runtime, server);
    drainOnSignal(server, runtime);
  } catch (error) {
    await runtime.close();
    throw error;
  }
}

function listen(settings: Settings, runtime: Runtime): Promise<ServerType> {
  const app = createApp(runtime.deps);
  return new Promise((resolve, reject) => {
    const server = serve(
      {
        fetch: app.fetch,
        port: settings.port,
        hostname: settings.host,
        serverOptions: { keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS },
      },
      () => resolve(server),
    );
    server.once("error", (error: NodeJS.ErrnoException) => reject(bindFailure(error, settings)));
  });
}

function bindFailure(error: NodeJS.ErrnoException, { host, port }: Settings): Error {
  const where = `${host}:${String(port)}`;
  if (error.code === "EADDRINUSE") {
    return new StartError(`${where} is in use. Stop what listens there, or set PORT to another one.`);
  }
  if (error.code === "EACCES") return new StartError(`Not allowed to listen on ${where}. Take a PORT from 1024 on.`);
  if (error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND") {
    return new StartError(`HOST ${host} is not an address of this machine.`);
  }
  return error;
}

/** What the start is at, for whoever waits for it. */
function say(line: string): void {
  console.log(`  ${line}`);
}

/** On stdout and not in the log: the link signs in whoever reads it. Last, so that it is what the screen ends with. */
function announce(settings: Settings, runtime: Runtime, server: ServerType): void {
  const address = server.address();
  const port = address === null || typeof address === "string" ? settings.port : address.port;
  const publicUrl = settings.port === 0 ? settings.publicUrl.replace(/:0$/, `:${String(port)}`) : settings.publicUrl;
  const warnings = [...settings.warnings, ...runtime.warnings];
  for (const warning of warnings) runtime.deps.log.warn(warning);
  runtime.deps.log.info({ host: settings.host, port, database: settings.database.kind }, "listening");
  const lines = [
    `Andon ${version()} is running.`,
    `  Board: ${publicUrl}`,
    ...warnings.map((warning) => `  Warning: ${warning}`),
  ];
  if (runtime.signInSecret !== null) {
    lines.push(
      "",
      `Sign in as admin by this link. It works once, for ${SIGN_IN_LINK_HOURS} hours; create an op token on the board to sign in later.`,
      `${publicUrl}/sign-in?link=${runtime.signInSecret}`,
    );
  }
  console.log(lines.join("\n"));
}

function drainOnSignal(server: ServerType, runtime: Runtime): void {
  let draining = false;
  const drain = (signal: NodeJS.Signals) => {
    if (draining) return;
    draining = true;
    const { log } = runtime.deps;
    log.info({ signal }, "stopping");
    setTimeout(() => {
      log.error({ drainMs: DRAIN_MS }, "did not stop in time; exiting");
      process.exit(1);
    }, DRAIN_MS).unref();
    stop(server, runtime).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, "did not stop cleanly");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", drain);
  process.on("SIGINT", drain);
}

async function stop(server: ServerType, runtime: Runtime): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  runtime.drain();
  // Keep-alive connections would hold the server open; whoever is being answered gets a moment more.
  if ("closeIdleConnections" in server) {
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), CONNECTIONS_GRACE_MS).unref();
  }
  await closed;
  await runtime.close();
}

function help(): string {
  const width = Math.max(...VARIABLES.map(({ name }) => name.length));
  const lines = VARIABLES.map(({ name, default: value, description }) => {
    const text = description.replaceAll("`", "");
    return `  ${name.padEnd(width)}  ${text}${value === "" ? "" : ` [${value}]`}`;
  });
  return ["Starts the Andon server. Configured by environment variables:", ...lines].join("\n");
}

main().catch((error: unknown) => {
  if (error instanceof StartError) console.error(error.message);
  else console.error(error);
  process.exit(1);
});
