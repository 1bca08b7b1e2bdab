/** Configuration: parsed once, refused with names and expectations, documented completely. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ConfigError, parseConfig, VARIABLES } from "../src/config.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const faultsOf = (env: Record<string, string>): readonly string[] => {
  try {
    parseConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
};

describe("parseConfig", () => {
  it("needs nothing: local address, embedded database, secret to be made", () => {
    expect(parseConfig({})).toEqual({
      host: "127.0.0.1",
      port: 4280,
      publicUrl: "http://127.0.0.1:4280",
      database: { kind: "embedded", dataDir: ".andon" },
      secret: null,
      adminToken: null,
      logLevel: "info",
      recentCallsHours: 24,
      recentCallsMax: 10_000,
      kept: { minutes: 100, rollups: 400, topHours: 35, batches: 3, results: 32 },
      breakersOff: [],
      smtp: null,
      reconciliation: {
        adminKey: null,
        baseUrl: "https://api.anthropic.com",
        workspaces: null,
        percent: 5,
        minUsd: 5,
      },
      warnings: [],
    });
  });

  it("takes an empty variable for unset", () => {
    expect(parseConfig({ PORT: "", DATABASE_URL: "", ANDON_SECRET: "" })).toEqual(parseConfig({}));
  });

  it("makes an address that can be visited of one that listens everywhere", () => {
    expect(parseConfig({ HOST: "0.0.0.0" }).publicUrl).toBe("http://localhost:4280");
    expect(parseConfig({ HOST: "::1" }).publicUrl).toBe("http://[::1]:4280");
    expect(parseConfig({ ANDON_PUBLIC_URL: "https://andon.example.com/" }).publicUrl).toBe("https://andon.example.com");
  });

  it("requires a secret with PostgreSQL", () => {
    const url = "postgres://user:password@db:5432/andon";
    expect(faultsOf({ DATABASE_URL: url })).toEqual([
      expect.stringContaining("ANDON_SECRET: required with DATABASE_URL"),
    ]);
    expect(parseConfig({ DATABASE_URL: url, ANDON_SECRET: SECRET }).database).toEqual({ kind: "postgres", url });
  });

  it.each([
    ["PORT", "70000"],
    ["PORT", "-1"],
    ["HOST", "http://x"],
    ["DATABASE_URL", "mysql://db/andon"],
    ["ANDON_PUBLIC_URL", "andon.example.com"],
    ["ANDON_PUBLIC_URL", "https://corp.example.com/andon"],
    ["ANDON_PUBLIC_URL", "https://andon.example.com/?from=mail"],
    ["ANDON_SECRET", "too short"],
    ["ANDON_ADMIN_TOKEN", "andon_sdk_0123456789012345678901234"],
    ["ANDON_ADMIN_TOKEN", "andon_op_short"],
    ["ANDON_LOG_LEVEL", "verbose"],
    ["ANDON_RECENT_CALLS_HOURS", "0"],
    ["ANDON_RECENT_CALLS_MAX", "many"],
    ["ANDON_ANTHROPIC_ADMIN_KEY", "two words are no key at all"],
    ["ANDON_ANTHROPIC_BASE_URL", "http://api.anthropic.com"],
    ["ANDON_ANTHROPIC_BASE_URL", "https://key@api.anthropic.com"],
    ["ANDON_ANTHROPIC_WORKSPACES", "production=workspace-1"],
    ["ANDON_ANTHROPIC_WORKSPACES", "production=wrkspc_1,staging=wrkspc_1"],
    ["ANDON_RECONCILE_PERCENT", "0"],
    ["ANDON_RECONCILE_MIN_USD", "0.5"],
    ["ANDON_USAGE_MINUTES_DAYS", "34"],
    ["ANDON_USAGE_ROLLUPS_DAYS", "4001"],
    ["ANDON_USAGE_ROLLUPS_DAYS", "99"],
    ["ANDON_USAGE_TOP_HOURS_DAYS", "31"],
    ["ANDON_USAGE_BATCHES_DAYS", "0"],
    ["ANDON_USAGE_RESULTS_DAYS", "29"],
  ])("refuses %s=%s by name, saying what was expected", (name, value) => {
    const faults = faultsOf({ [name]: value });
    expect(faults.some((fault) => fault.startsWith(`${name}: expected`))).toBe(true);
  });

  it("names all faults at once, and never the value of a secret", () => {
    const secrets = { ANDON_SECRET: "hunter2", ANDON_ADMIN_TOKEN: "hunter3", ANDON_ANTHROPIC_ADMIN_KEY: "hunter4" };
    const faults = faultsOf({ PORT: "x", ...secrets });
    expect(faults).toHaveLength(4);
    expect(faults.join()).not.toContain("hunter");
  });
});

it("knows environments by the workspaces and keys that they call with", () => {
  const ANDON_ANTHROPIC_WORKSPACES = "production=wrkspc_1+default, staging=apikey_2";
  const { workspaces, baseUrl } = parseConfig({
    ANDON_ANTHROPIC_WORKSPACES,
    ANDON_ANTHROPIC_BASE_URL: "http://127.0.0.1:8080/",
  }).reconciliation;
  expect([...(workspaces ?? [])]).toEqual([
    ["production", ["wrkspc_1", "default"]],
    ["staging", ["apikey_2"]],
  ]);
  expect(baseUrl).toBe("http://127.0.0.1:8080");
});

describe("warnings", () => {
  it("tells who listens beyond this machine without ANDON_PUBLIC_URL where links will lead, and what to set", () => {
    for (const HOST of ["0.0.0.0", "::", "10.0.0.7", "andon.internal"]) {
      for (const unset of [{}, { ANDON_PUBLIC_URL: "" }]) {
        const [warning, ...more] = parseConfig({ HOST, ...unset }).warnings;
        expect(more).toEqual([]);
        expect(warning).toContain(parseConfig({ HOST }).publicUrl);
        expect(warning).toContain("Set ANDON_PUBLIC_URL");
      }
    }
  });

  it("says nothing on this machine alone, or when the address is given", () => {
    for (const HOST of ["", "127.0.0.1", "127.1.2.3", "localhost", "::1"])
      expect(parseConfig({ HOST }).warnings).toEqual([]);
    expect(parseConfig({ HOST: "0.0.0.0", ANDON_PUBLIC_URL: "https://andon.example.com" }).warnings).toEqual([]);
  });
});

const cells = (row: string) => row.split("|").map((cell) => cell.trim());

describe("docs/configuration.md", () => {
  it("lists every variable with its default and meaning, and no other", () => {
    const text = readFileSync(new URL("../docs/configuration.md", import.meta.url), "utf8");
    const rows = text.split("\n").filter((line) => line.startsWith("| `"));
    const expected = VARIABLES.map(({ name, default: value, description }) =>
      value === "" ? `| \`${name}\` | | ${description} |` : `| \`${name}\` | \`${value}\` | ${description} |`,
    );
    expect(rows.map(cells)).toEqual(expected.map(cells));
  });
});
