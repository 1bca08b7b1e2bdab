ALTER TABLE "instances" ADD COLUMN "declared_dead_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "instances" ADD COLUMN "declared_dead_by" text;--> statement-breakpoint
ALTER TABLE "instances" ADD COLUMN "returned_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "instances_declared_dead" ON "instances" USING btree ("environment_id") WHERE declared_dead_at is not null and returned_at is null;