/** Shell completion: commands and options as this very program has them. */
import type { Command } from "commander";
import { CliError, EXIT_USAGE } from "./io.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

/** The lines of the script for a shell. CliError for another shell. */
export function completionLines(program: Command, shell: string): string[] {
  const words = wordsOf(program);
  switch (shell) {
    case "bash":
      return bash(words);
    case "zsh":
      return ["autoload -U +X bashcompinit && bashcompinit", ...bash(words)];
    case "fish":
      return words.flatMap(({ path, next, options }) => {
        const when = path.length === 0 ? "__fish_use_subcommand" : `__fish_seen_subcommand_from ${path.at(-1) ?? ""}`;
        return [...next, ...options].map((word) => `complete -c andon -n '${when}' -f -a '${word}'`);
      });
    default:
      throw new CliError(`There is completion for ${SHELLS.join(", ")}.`, EXIT_USAGE);
  }
}

interface Words {
  path: readonly string[];
  next: readonly string[];
  options: readonly string[];
}

/** What may follow each command, the program itself first. */
function wordsOf(command: Command, path: readonly string[] = []): Words[] {
  const next = command.commands.map((one) => one.name());
  const options = [...command.options.flatMap(({ long }) => (long == null ? [] : [long])), "--help"];
  return [{ path, next, options }, ...command.commands.flatMap((one) => wordsOf(one, [...path, one.name()]))];
}

function bash(words: readonly Words[]): string[] {
  const longestFirst = words.toSorted((a, b) => b.path.length - a.path.length);
  return [
    "_andon() {",
    '  local typed=" ${COMP_WORDS[*]:1:COMP_CWORD-1} " words',
    '  case "$typed" in',
    ...longestFirst.map(
      ({ path, next, options }) =>
        `    ${path.length === 0 ? "*" : `" ${path.join(" ")} "*`}) words="${[...next, ...options].join(" ")}" ;;`,
    ),
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
    "}",
    "complete -F _andon andon",
  ];
}
