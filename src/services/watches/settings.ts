/** The settings that count: of a flag its own, else the environment's, else the default. */
import { eq } from "drizzle-orm";
import { watchSettings } from "../../db/schema/watches.ts";
import type { Db } from "../../db/types.ts";
import { DEFAULT_WATCHES, type WatchKind, type WatchSetting } from "../../domain/watch.ts";

export type SettingRow = typeof watchSettings.$inferSelect;

export interface Settings {
  rows: readonly SettingRow[];
  /** `flag` null: of the environment. */
  of(kind: WatchKind, flag: string | null): WatchSetting;
}

export async function readSettings(db: Db, environmentId: string): Promise<Settings> {
  const rows = await db.select().from(watchSettings).where(eq(watchSettings.environmentId, environmentId));
  const find = (kind: WatchKind, flag: string) => rows.find((row) => row.kind === kind && row.flag === flag);
  return {
    rows,
    of: (kind, flag) => {
      const row = (flag === null ? undefined : find(kind, flag)) ?? find(kind, "");
      return row === undefined ? DEFAULT_WATCHES[kind] : settingOf(row);
    },
  };
}

export function settingOf({ enabled, limit, minimum }: SettingRow): WatchSetting {
  return { enabled, limit, minimum };
}
