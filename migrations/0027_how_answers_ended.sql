ALTER TABLE "usage_minutes" ADD COLUMN "ended" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "usage_minutes" ADD COLUMN "cut" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "usage_minutes" ADD COLUMN "largest_tokens" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "usage_rollups" ADD COLUMN "ended" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "usage_rollups" ADD COLUMN "cut" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "usage_rollups" ADD COLUMN "largest_tokens" bigint DEFAULT 0 NOT NULL;