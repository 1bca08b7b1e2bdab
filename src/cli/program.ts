/** The `andon` command: its verbs, options and help. Parsing only; what a verb does is in `commands.ts`. */
import { Command, CommanderError, InvalidArgumentError } from "commander";
import {
  audit,
  type Common,
  declareDead,
  downgrade,
  instances,
  kill,
  receipts,
  restore,
  setBlock,
  status,
  verifyAudit,
} from "./commands.ts";
import {
  budgets,
  type PriceOptions,
  prices,
  raiseBudget,
  reconcile,
  setPrice,
  showBudget,
  usage,
  type UsageOptions,
} from "./money-commands.ts";
import { apply, type ApplyOptions, diff, exportConfiguration, type FileOptions } from "./configuration/commands.ts";
import { acknowledge, incidents, resolve } from "./incident-commands.ts";
import { drill } from "./drill-command.ts";
import { completionLines, SHELLS } from "./completion.ts";
import { login, type LoginOptions, logout } from "./login.ts";
import { watch, type WatchOptions } from "./watch.ts";
import { CliError, EXIT_FAILED, EXIT_OK, EXIT_USAGE, type Io } from "./io.ts";
import { printingOnly } from "./printable.ts";

const DEFAULT_AUDIT_ENTRIES = 20;

/** What runs inside this process's own installation instead of over the API. */
export interface Local {
  serve(): Promise<number>;
  demo(args: readonly string[]): Promise<number>;
  signInLink(io: Io): Promise<number>;
}

const EXAMPLES = `
Set ANDON_URL and ANDON_OP_TOKEN (ANDON_TOKEN is the application's), then:
  $ andon status
  $ andon kill support-chat
  $ andon kill support-chat --reason "answers leak prices"
  $ andon kill --tag team-support --reason "answers leak prices"
  $ andon kill --all --reason "key leaked" --until 2030-01-31T06:00:00Z
  $ andon drill support-chat
  $ andon downgrade support-chat --model claude-sonnet-5-5 --reason "cost"
  $ andon restore support-chat --reason "fixed" --ramp 10
  $ andon block claude-opus-5-5 --reason "overloaded"
  $ andon budget raise "Support chat, daily" --add 50 --reason "launch day"
  $ andon export > production.yaml; andon diff -f production.yaml; andon apply -f production.yaml
  $ andon usage --by model --last 7d
  $ andon prices set claude-next-9 --input 4 --output 20 --cache-write-5m 5 --cache-write-1h 8 --cache-read 0.4

Exit codes:
  0  done and, unless --no-wait, applied by every live instance (but for those under ANDON_KILL,
     which refuse by themselves, follow no restore and are named)
  1  failed
  2  wrong usage
  3  the change is made, but within 10 s not confirmed by all (or this token may not read receipts)
  4  diff: the environment is not as the file has it`;

const UNKNOWN_COMMAND = "commander.unknownCommand";
/** What a person may look for here and finds elsewhere. */
const ELSEWHERE =
  "Budgets are made and edited on the board, under Budgets, over the API, or as a file (andon export, andon apply); flags, chains and channels as well. Tokens on the board or over the API.";

/** Runs one command line (without node and script). Resolves with the exit code; never rejects. */
export async function run(args: readonly string[], given: Io, local: Local, version: string): Promise<number> {
  const io = printingOnly(given);
  let exitCode = EXIT_OK;
  const program = createProgram(io, local, version, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.code === UNKNOWN_COMMAND) for (const line of commandsOf(program)) io.err(line);
      return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    }
    for (const line of linesOf(error instanceof Error ? error.message : String(error))) io.err(line);
    return error instanceof CliError ? error.exitCode : EXIT_FAILED;
  }
}

function createProgram(io: Io, local: Local, version: string, exit: (code: number) => void): Command {
  const program = new Command("andon")
    .description("The andon cord for applications that call Claude.")
    .version(version)
    .exitOverride()
    .showHelpAfterError("(andon --help shows examples)")
    .addHelpText("after", EXAMPLES)
    .configureOutput({
      writeOut: (text) => linesOf(text).forEach((line) => io.out(line)),
      writeErr: (text) => linesOf(text).forEach((line) => io.err(line)),
    });

  const read = (name: string, summary: string) => withRead(program.command(name).description(summary));
  const change = (name: string, summary: string) => withChange(program.command(name).description(summary));
  const until = ["--until <time>", "ends by itself at this time, such as 2030-01-31T06:00:00Z"] as const;

  program
    .command("serve")
    .description("start the server (configuration: environment variables)")
    .action(async () => exit(await local.serve()));
  program
    .command("demo")
    .description("the whole story in a minute, on this machine only")
    .option("--keep", "leave it running for a look")
    .action(async (options: { keep?: boolean }) => exit(await local.demo(options.keep === true ? ["--keep"] : [])));
  program
    .command("sign-in-link")
    .description("print a one-time admin sign-in link, made directly in the database (DATABASE_URL or ANDON_DATA_DIR)")
    .action(async () => exit(await local.signInLink(io)));

  read("status [flag]", "what is off or downgraded now").action(async (flag: string | undefined, options: Common) =>
    exit(await status(io, flag, options)),
  );
  change("kill [flag]", "turn a flag off everywhere, now")
    .option("--all", "every flag of the environment (the master switch)")
    .option("--tag <tag>", "every flag that carries this tag")
    .option(...until)
    .action(async (flag: string | undefined, options: Parameters<typeof kill>[2]) =>
      exit(await kill(io, flag, options)),
    );
  change("restore [flag]", "turn a flag on again; one that is on goes back to full quality")
    .option("--all", "lift the master switch; flags that are off stay off")
    .option("--tag <tag>", "those flags of this tag that are off by themselves")
    .option("--ramp <percent>", "give it back to this share first", toNumber)
    .action(async (flag: string | undefined, options: Parameters<typeof restore>[2]) =>
      exit(await restore(io, flag, options)),
    );
  read("drill <flag>", "turn a flag off for seconds to see that its switch works; it comes back by itself")
    .option("--seconds <n>", "off for at most so long; back as soon as everybody has answered", toNumber)
    .action(async (flag: string, options: Parameters<typeof drill>[2]) => exit(await drill(io, flag, options)));
  change("downgrade <flag>", "step a flag down its chain, one step unless told which")
    .option("--level <n>", "level to go to; 0 is full quality", toNumber)
    .option("--model <id>", "model of the chain to go to")
    .option(...until)
    .action(async (flag: string, options: Parameters<typeof downgrade>[2]) => exit(await downgrade(io, flag, options)));
  change("block <model>", "take a model out everywhere")
    .option(...until)
    .option("--new-model", "take a name that looks like a slip as it is")
    .action(async (model: string, options: Parameters<typeof setBlock>[3]) =>
      exit(await setBlock(io, model, true, options)),
    );
  change("unblock <model>", "let a model be used again").action(
    async (model: string, options: Parameters<typeof setBlock>[3]) => exit(await setBlock(io, model, false, options)),
  );
  read("receipts", "who applied a revision")
    .option("--revision <revision>", "instead of the newest one")
    .action(async (options: Common & { revision?: string }) => exit(await receipts(io, options)));
  read("instances", "who runs, may still run, or holds flags off by ANDON_KILL").action(async (options: Common) =>
    exit(await instances(io, options)),
  );
  read("declare-dead [instance]", "say that a process is dead whose connection is lost: it is no longer counted")
    .option("--all", "all whose connection is lost")
    .option("--reason <text>", "how you know; the audit keeps it")
    .action(async (name: string | undefined, options: Parameters<typeof declareDead>[2]) =>
      exit(await declareDead(io, name, options)),
    );
  read("budgets", "what each budget has spent, of what, and when its limit will be reached").action(
    async (options: Common) => exit(await budgets(io, options)),
  );
  const budget = program.command("budget").description("look at one budget, or raise it until a moment");
  withRead(
    budget.command("show <budget>").description("one budget, by its name or id: steps, raises and trips"),
  ).action(async (name: string, options: Common) => exit(await showBudget(io, name, options)));
  withChange(budget.command("raise <budget>").description("raise a limit until a moment; trips that it clears end"))
    .requiredOption("--add <usd>", "how much more, in USD", toNumber)
    .option("--until <time>", "when the raise ends by itself; the end of the budget's window when left out")
    .action(async (name: string, options: Parameters<typeof raiseBudget>[2]) =>
      exit(await raiseBudget(io, name, options)),
    );
  read("usage", "what was used and what it cost, of the last 24 hours unless told otherwise")
    .option("--by <groups>", "flag, model, user, session, or several: flag,model", "flag")
    .option("--bucket <bucket>", "over time: minute, hour or day")
    .option("--last <span>", "such as 30m, 24h or 7d")
    .option("--from <time>", "such as 2030-01-31T06:00:00Z")
    .option("--to <time>", "now when left out")
    .option("--flag <key>", "of one flag only")
    .option("--model <id>", "of one model only")
    .option("--csv", "print CSV")
    .action(async (options: UsageOptions) => exit(await usage(io, options)));
  read("reconcile", "Claude's bill beside what was counted, by day and model")
    .option("--days <n>", "how many days back from yesterday; 14 when left out", toNumber)
    .action(async (options: Common & { days?: number }) => exit(await reconcile(io, options)));
  const price = read("prices [model]", "what models cost, in USD per million tokens").action(
    async (model: string | undefined, options: Common) => exit(await prices(io, model, options)),
  );
  // `prices` has --env and --json for both, wherever they stand: with two of them one would be read and the other used.
  withReason(price.command("set <model>").description("add or correct a price; what is not given stays as it is"))
    .configureHelp({ showGlobalOptions: true })
    .option("--from <date>", "from when on it counts, such as 2026-12-01; now when left out")
    .option("--input <usd>", "per million tokens", toNumber)
    .option("--output <usd>", "per million tokens", toNumber)
    .option("--cache-write-5m <usd>", "per million tokens", toNumber)
    .option("--cache-write-1h <usd>", "per million tokens", toNumber)
    .option("--cache-read <usd>", "per million tokens", toNumber)
    .option("--fast <rates>", "of fast mode: input,output,write 5m,write 1h,read", toRates)
    .option("--long-above <tokens>", "prompts above this cost what --long says", toNumber)
    .option("--long <rates>", "of long prompts: input,output,write 5m,write 1h,read", toRates)
    .option("--alias <id...>", "other exact ids of the same model")
    .option("--new-model", "take a name that looks like a slip as it is")
    .option("--unusual", "take figures that look like a slip as they are")
    .action(async (model: string, _options: unknown, command: Command) =>
      exit(await setPrice(io, model, command.optsWithGlobals<PriceOptions>())),
    );
  read("incidents", "what is wrong now, and whether anybody is on it")
    .option("--all", "those that are over as well")
    .action(async (options: Parameters<typeof incidents>[1]) => exit(await incidents(io, options)));
  const incident = program.command("incident").description("acknowledge an incident, or close it");
  withRead(
    incident.command("ack [id]").description("say that you are on it; without an id, the one that waits"),
  ).action(async (id: string | undefined, options: Common) => exit(await acknowledge(io, id, options)));
  withRead(
    incident.command("resolve [id]").description("close one whose cause has ended, which it does by itself too"),
  ).action(async (id: string | undefined, options: Common) => exit(await resolve(io, id, options)));
  read("export", "print what the environment defines, as YAML for git: chains, flags, budgets, channels").action(
    async (options: Common) => exit(await exportConfiguration(io, options)),
  );
  const file = ["-f, --file <file>", "a file that andon export wrote; - reads standard input"] as const;
  read("diff", "what apply would change; exit code 4 when that is anything")
    .requiredOption(...file)
    .action(async (options: FileOptions) => exit(await diff(io, options)));
  read("apply", "make the environment as a file has it; flags that are off stay off")
    .requiredOption(...file)
    .option("--dry-run", "show the plan and change nothing")
    .option("--prune", "delete what is not in the file's sections")
    .option("--force", "overwrite edits that were made since the file was the same as the environment")
    .option("--yes", "do not ask on a terminal")
    .option("--new-model", "take a model name that looks like a slip as it is")
    .action(async (options: ApplyOptions) => exit(await apply(io, options)));
  const log = read("audit", "who changed what, newest first")
    .option("--flag <key>", "of one flag only")
    .option("--limit <n>", "how many", toNumber, DEFAULT_AUDIT_ENTRIES)
    .action(async (options: Common & { flag?: string; limit: number }) => exit(await audit(io, options)));
  // As of prices: `audit` has --env and --json for both.
  log
    .command("verify")
    .description("check that no row was altered, added or removed; fails with the first that was")
    .configureHelp({ showGlobalOptions: true })
    .option("--installation", "of what belongs to no environment, such as tokens good for all of them")
    .action(async (_options: unknown, command: Command) =>
      exit(await verifyAudit(io, command.optsWithGlobals<Common & { installation?: boolean }>())),
    );
  read("watch", "status and incidents live: each line that is new, every two seconds, until Ctrl-C")
    .option("--times <n>", "look so many times, then end", toNumber)
    .action(async (options: WatchOptions) => exit(await watch(io, options)));
  program
    .command("login")
    .description("try a token and keep it for the next commands; what the environment says wins")
    .option("--url <url>", "address of the Andon server; ANDON_URL when left out")
    .option("--json", "print JSON")
    .action(async (options: LoginOptions) => exit(await login(io, options)));
  program
    .command("logout")
    .description("remove what login has kept")
    .action(() => exit(logout(io)));
  program
    .command("completion <shell>")
    .description(`print the completion script of ${SHELLS.join(", ")}: eval "$(andon completion bash)"`)
    .action((shell: string) => {
      for (const line of completionLines(program, shell)) io.out(line);
    });
  program
    .command("mcp")
    .description(
      "let an assistant look, and kill or step down, by the Model Context Protocol on standard input and output",
    )
    .option("--env <key>", "environment", "production")
    // Its SDK is large: no other command waits for it.
    .action(async ({ env }: { env: string }) =>
      exit(await (await import("./mcp/server.ts")).serveMcp(io, env, version)),
    );
  return program;
}

function withRead(command: Command): Command {
  return command.option("--env <key>", "environment", "production").option("--json", "print JSON");
}

function withChange(command: Command): Command {
  return withReason(withRead(command));
}

function withReason(command: Command): Command {
  return command
    .option(
      "--reason <text>",
      "why; the next on-call reads it. Asked on a terminal when left out (of a kill: once it is done)",
    )
    .option("--no-wait", "do not wait for the receipts");
}

/** What there is instead of a command that is not there. */
function commandsOf(program: Command): string[] {
  return [`Commands: ${program.commands.map((command) => command.name()).join(", ")}.`, ELSEWHERE];
}

/** Our own words may be several lines. */
function linesOf(text: string): string[] {
  return text.trimEnd().split("\n");
}

function toRates(text: string): number[] {
  const rates = text.split(",").map(toNumber);
  if (rates.length !== 5) throw new InvalidArgumentError("It must be five amounts, such as 8,40,10,16,0.4.");
  return rates;
}

function toNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("It must be a number.");
  return value;
}
