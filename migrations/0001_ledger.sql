CREATE TABLE "budget_raises" (
	"id" text PRIMARY KEY NOT NULL,
	"budget_id" text NOT NULL,
	"add_nano_usd" bigint NOT NULL,
	"until" timestamp (3) with time zone NOT NULL,
	"reason" text NOT NULL,
	"by" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "budget_windows" (
	"budget_id" text NOT NULL,
	"starts_at" timestamp (3) with time zone NOT NULL,
	"ends_at" timestamp (3) with time zone NOT NULL,
	"spent_nano_usd" bigint DEFAULT 0 NOT NULL,
	"exact_nano_usd" bigint DEFAULT 0 NOT NULL,
	"ladder_state" jsonb,
	"closed_at" timestamp (3) with time zone,
	CONSTRAINT "budget_windows_budget_id_starts_at_pk" PRIMARY KEY("budget_id","starts_at")
);
--> statement-breakpoint
CREATE TABLE "budgets" (
	"id" text PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"name" text NOT NULL,
	"flag" text,
	"model" text,
	"limit_nano_usd" bigint NOT NULL,
	"period" text NOT NULL,
	"timezone" text NOT NULL,
	"enforcement" text NOT NULL,
	"ladder" jsonb NOT NULL,
	"on_reset" text NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "budgets_environment_name" UNIQUE("environment_id","name")
);
--> statement-breakpoint
CREATE TABLE "channels" (
	"id" text PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"url" text NOT NULL,
	"secret" text,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"tested_at" timestamp (3) with time zone,
	"test_result" text,
	CONSTRAINT "channels_environment_name" UNIQUE("environment_id","name")
);
--> statement-breakpoint
CREATE TABLE "incidents" (
	"id" text PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"budget_id" text,
	"cause" text NOT NULL,
	"title" text NOT NULL,
	"steps" jsonb NOT NULL,
	"opened_at" timestamp (3) with time zone NOT NULL,
	"acknowledged_at" timestamp (3) with time zone,
	"acknowledged_by" text,
	"resolved_at" timestamp (3) with time zone,
	CONSTRAINT "incidents_cause" UNIQUE("environment_id","cause")
);
--> statement-breakpoint
CREATE TABLE "outbox" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"channel_id" text NOT NULL,
	"incident_id" text,
	"dedup_key" text NOT NULL,
	"message_id" text NOT NULL,
	"payload" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp (3) with time zone NOT NULL,
	"last_error" text,
	"delivered_at" timestamp (3) with time zone,
	"failed_at" timestamp (3) with time zone,
	CONSTRAINT "outbox_dedup" UNIQUE("channel_id","dedup_key")
);
--> statement-breakpoint
CREATE TABLE "price_rows" (
	"id" text PRIMARY KEY NOT NULL,
	"row" jsonb NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "trips" (
	"id" text PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"flag" text NOT NULL,
	"budget_id" text NOT NULL,
	"window_starts_at" timestamp (3) with time zone NOT NULL,
	"step" text NOT NULL,
	"at_percent" integer NOT NULL,
	"action" text NOT NULL,
	"level" integer,
	"model" text,
	"since" timestamp (3) with time zone NOT NULL,
	"until" timestamp (3) with time zone,
	"overridden_at" timestamp (3) with time zone,
	"overridden_by" text,
	"ended_at" timestamp (3) with time zone,
	"end_reason" text
);
--> statement-breakpoint
CREATE TABLE "usage_batches" (
	"environment_id" text NOT NULL,
	"batch_id" text NOT NULL,
	"received_at" timestamp (3) with time zone NOT NULL,
	"accepted" integer NOT NULL,
	"rejected" jsonb DEFAULT '[]'::jsonb NOT NULL,
	CONSTRAINT "usage_batches_environment_id_batch_id_pk" PRIMARY KEY("environment_id","batch_id")
);
--> statement-breakpoint
CREATE TABLE "usage_minutes" (
	"environment_id" text NOT NULL,
	"minute" timestamp (3) with time zone NOT NULL,
	"flag" text NOT NULL,
	"model" text NOT NULL,
	"calls" bigint DEFAULT 0 NOT NULL,
	"attempts" bigint DEFAULT 0 NOT NULL,
	"errors" bigint DEFAULT 0 NOT NULL,
	"aborted" bigint DEFAULT 0 NOT NULL,
	"refused" bigint DEFAULT 0 NOT NULL,
	"input" bigint DEFAULT 0 NOT NULL,
	"output" bigint DEFAULT 0 NOT NULL,
	"cache_write_5m" bigint DEFAULT 0 NOT NULL,
	"cache_write_1h" bigint DEFAULT 0 NOT NULL,
	"cache_read" bigint DEFAULT 0 NOT NULL,
	"web_searches" bigint DEFAULT 0 NOT NULL,
	"exact_nano_usd" bigint DEFAULT 0 NOT NULL,
	"estimated_nano_usd" bigint DEFAULT 0 NOT NULL,
	"unpriced" bigint DEFAULT 0 NOT NULL,
	"latency" integer[] NOT NULL,
	CONSTRAINT "usage_minutes_environment_id_minute_flag_model_pk" PRIMARY KEY("environment_id","minute","flag","model")
);
--> statement-breakpoint
CREATE TABLE "usage_recent" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"flag" text NOT NULL,
	"model" text NOT NULL,
	"requested_model" text NOT NULL,
	"outcome" text NOT NULL,
	"exact" boolean NOT NULL,
	"cost_nano_usd" bigint DEFAULT 0 NOT NULL,
	"input" bigint DEFAULT 0 NOT NULL,
	"output" bigint DEFAULT 0 NOT NULL,
	"latency_ms" integer NOT NULL,
	"attempt" integer NOT NULL,
	"status" integer,
	"error_type" text,
	"stop_reason" text,
	"request_id" text,
	"user_id" text,
	"session_id" text,
	"instance" text
);
--> statement-breakpoint
ALTER TABLE "budget_raises" ADD CONSTRAINT "budget_raises_budget_id_budgets_id_fk" FOREIGN KEY ("budget_id") REFERENCES "public"."budgets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD CONSTRAINT "budget_windows_budget_id_budgets_id_fk" FOREIGN KEY ("budget_id") REFERENCES "public"."budgets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "budgets" ADD CONSTRAINT "budgets_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "channels" ADD CONSTRAINT "channels_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "incidents" ADD CONSTRAINT "incidents_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "incidents" ADD CONSTRAINT "incidents_budget_id_budgets_id_fk" FOREIGN KEY ("budget_id") REFERENCES "public"."budgets"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "outbox" ADD CONSTRAINT "outbox_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "outbox" ADD CONSTRAINT "outbox_channel_id_channels_id_fk" FOREIGN KEY ("channel_id") REFERENCES "public"."channels"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "outbox" ADD CONSTRAINT "outbox_incident_id_incidents_id_fk" FOREIGN KEY ("incident_id") REFERENCES "public"."incidents"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trips" ADD CONSTRAINT "trips_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "trips" ADD CONSTRAINT "trips_budget_id_budgets_id_fk" FOREIGN KEY ("budget_id") REFERENCES "public"."budgets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "usage_batches" ADD CONSTRAINT "usage_batches_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "usage_minutes" ADD CONSTRAINT "usage_minutes_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "usage_recent" ADD CONSTRAINT "usage_recent_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "budget_raises_budget" ON "budget_raises" USING btree ("budget_id","until");--> statement-breakpoint
CREATE INDEX "budget_windows_open" ON "budget_windows" USING btree ("ends_at","closed_at");--> statement-breakpoint
CREATE INDEX "incidents_open" ON "incidents" USING btree ("environment_id","resolved_at");--> statement-breakpoint
CREATE INDEX "outbox_due" ON "outbox" USING btree ("delivered_at","failed_at","next_attempt_at");--> statement-breakpoint
CREATE INDEX "trips_in_force" ON "trips" USING btree ("environment_id","flag","ended_at");--> statement-breakpoint
CREATE INDEX "trips_budget" ON "trips" USING btree ("budget_id");--> statement-breakpoint
CREATE INDEX "usage_batches_received_at" ON "usage_batches" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "usage_recent_environment_flag" ON "usage_recent" USING btree ("environment_id","flag","id");