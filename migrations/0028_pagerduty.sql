ALTER TABLE "incidents" ADD COLUMN "severity" text DEFAULT 'info' NOT NULL;--> statement-breakpoint
ALTER TABLE "outbox" ADD COLUMN "event" text DEFAULT 'trigger' NOT NULL;--> statement-breakpoint
ALTER TABLE "outbox" ADD COLUMN "severity" text DEFAULT 'error' NOT NULL;--> statement-breakpoint
ALTER TABLE "outbox" ADD COLUMN "sent_by" text;--> statement-breakpoint
UPDATE "incidents" SET "severity" = 'error';--> statement-breakpoint
UPDATE "outbox" SET "event" = 'resolve' WHERE "payload" ->> 'type' = 'incident.resolved';
