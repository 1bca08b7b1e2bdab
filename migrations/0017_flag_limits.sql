ALTER TABLE "flags" ADD COLUMN "limits" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "max_input_bytes" integer;--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "max_output_tokens" integer;