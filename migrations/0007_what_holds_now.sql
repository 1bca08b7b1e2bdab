ALTER TABLE "audit" ADD COLUMN "reverts" bigint;--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "standing" text;--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "standing_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "standing_began" text;--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "standing_models" jsonb;--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "standing_revision" bigint;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "over_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "over_limit_nano_usd" bigint;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "told_percent" integer;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "told_limit_nano_usd" bigint;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "told_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "looked_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "incidents" ADD COLUMN "window_starts_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "trips" ADD COLUMN "override_reason" text;--> statement-breakpoint
UPDATE "incidents" SET "window_starts_at" = to_timestamp((regexp_match("cause", ':(\d{1,15})$'))[1]::bigint / 1000.0) WHERE "cause" ~ '^budget:.+:\d{1,15}$';--> statement-breakpoint
UPDATE "audit" AS "undo" SET "reverts" = "was"."id" FROM "audit" AS "was" WHERE "undo"."reason" ~ '^undo of #\d{1,15}$' AND "undo"."reason" = 'undo of #' || "was"."id" AND "was"."environment_id" = "undo"."environment_id" AND "was"."action" = "undo"."action" AND "was"."target" = "undo"."target";--> statement-breakpoint
UPDATE "budget_windows" AS "w" SET "over_limit_nano_usd" = "l"."limit", "over_since" = coalesce((SELECT max(("step" ->> 'at')::timestamptz) FROM "incidents", jsonb_array_elements("steps") AS "step" WHERE "incidents"."budget_id" = "w"."budget_id" AND "window_starts_at" = "w"."starts_at" AND ("step" ->> 'atPercent')::int <= 100), "w"."starts_at") FROM (SELECT "b"."id", "b"."limit_nano_usd" + coalesce((SELECT sum("add_nano_usd") FROM "budget_raises" WHERE "budget_id" = "b"."id" AND "ended_at" IS NULL), 0) AS "limit" FROM "budgets" AS "b") AS "l" WHERE "l"."id" = "w"."budget_id" AND "w"."closed_at" IS NULL AND "w"."spent_nano_usd" >= "l"."limit";
