ALTER TABLE "flag_checks" ADD COLUMN "limited_count" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "flag_checks" ADD COLUMN "limited_at" timestamp (3) with time zone;