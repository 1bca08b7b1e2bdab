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
} from "./commands.ts";
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
  $ andon kill --all --reason "key leaked" --until 2030-01-31T06:00:00Z
  $ andon downgrade support-chat --model claude-sonnet-5-5 --reason "cost"
  $ andon restore support-chat --reason "fixed" --ramp 10
  $ andon block claude-opus-5-5 --reason "overloaded"

Exit codes:
  0  done and, unless --no-wait, applied by every live instance (but for those under ANDON_KILL,
     which refuse by themselves, follow no restore and are named)
  1  failed
  2  wrong usage
  3  the change is made, but within 10 s not confirmed by all (or this token may not read receipts)`;

const UNKNOWN_COMMAND = "commander.unknownCommand";
/** What a person may look for here and finds elsewhere. */
const ELSEWHERE =
  "Budgets are made and raised on the board, under Budgets, or over the API; flags, chains, channels and tokens as well.";

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

  const read = (name: string, summary: string) =>
    program
      .command(name)
      .description(summary)
      .option("--env <key>", "environment", "production")
      .option("--json", "print JSON");
  const change = (name: string, summary: string) =>
    read(name, summary)
      .option("--reason <text>", "why; the next on-call reads it. Asked on a terminal when left out, after a kill")
      .option("--no-wait", "do not wait for the receipts");
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
    .option(...until)
    .action(async (flag: string | undefined, options: Parameters<typeof kill>[2]) =>
      exit(await kill(io, flag, options)),
    );
  change("restore [flag]", "turn a flag on again; one that is on goes back to full quality")
    .option("--all", "lift the master switch; flags that are off stay off")
    .option("--ramp <percent>", "give it back to this share first", toNumber)
    .action(async (flag: string | undefined, options: Parameters<typeof restore>[2]) =>
      exit(await restore(io, flag, options)),
    );
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
  read("audit", "who changed what, newest first")
    .option("--flag <key>", "of one flag only")
    .option("--limit <n>", "how many", toNumber, DEFAULT_AUDIT_ENTRIES)
    .action(async (options: Common & { flag?: string; limit: number }) => exit(await audit(io, options)));
  return program;
}

/** What there is instead of a command that is not there. */
function commandsOf(program: Command): string[] {
  return [`Commands: ${program.commands.map((command) => command.name()).join(", ")}.`, ELSEWHERE];
}

/** Our own words may be several lines. */
function linesOf(text: string): string[] {
  return text.trimEnd().split("\n");
}

function toNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("It must be a number.");
  return value;
}
