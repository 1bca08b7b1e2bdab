CREATE TABLE "ended_sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"token_id" text NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "tokens" ADD COLUMN "sessions_from" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "ended_sessions_of_token" ON "ended_sessions" USING btree ("token_id");--> statement-breakpoint
CREATE INDEX "ended_sessions_expiry" ON "ended_sessions" USING btree ("expires_at");