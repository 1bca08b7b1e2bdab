ALTER TABLE "environments" ADD COLUMN "aliases" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "chain_only" boolean DEFAULT false NOT NULL;