CREATE TABLE "used_action_links" (
	"id" text PRIMARY KEY NOT NULL,
	"used_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "escalate_after_minutes" integer;--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "min_severity" text DEFAULT 'info' NOT NULL;--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "quiet_hours" jsonb;--> statement-breakpoint
ALTER TABLE "incidents" ADD COLUMN "asked_since" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "outbox" ADD COLUMN "held_until" timestamp (3) with time zone;