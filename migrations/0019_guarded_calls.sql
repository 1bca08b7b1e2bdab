ALTER TABLE "flag_checks" ADD COLUMN "guarded_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "flag_checks" ADD COLUMN "sdk" text;