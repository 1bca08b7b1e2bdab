CREATE TABLE "trigger_alerts" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"trigger_id" text NOT NULL,
	"identity" text NOT NULL,
	"episode" text NOT NULL,
	"started_at" timestamp (3) with time zone,
	"title" text NOT NULL,
	"fired_at" timestamp (3) with time zone NOT NULL,
	"heard_at" timestamp (3) with time zone NOT NULL,
	"cleared_at" timestamp (3) with time zone,
	"flags" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "triggers" (
	"id" text PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"name" text NOT NULL,
	"source" text NOT NULL,
	"action" text NOT NULL,
	"level" integer,
	"flags" jsonb NOT NULL,
	"tag" text,
	"expires_minutes" integer,
	"paused" boolean DEFAULT false NOT NULL,
	"secret" text,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"received_at" timestamp (3) with time zone,
	"received" text,
	CONSTRAINT "triggers_environment_name" UNIQUE("environment_id","name")
);
--> statement-breakpoint
ALTER TABLE "incidents" ADD COLUMN "trigger_alert_id" bigint;--> statement-breakpoint
ALTER TABLE "trigger_alerts" ADD CONSTRAINT "trigger_alerts_trigger_id_triggers_id_fk" FOREIGN KEY ("trigger_id") REFERENCES "public"."triggers"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "triggers" ADD CONSTRAINT "triggers_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "trigger_alerts_identity" ON "trigger_alerts" USING btree ("trigger_id","identity","id");--> statement-breakpoint
CREATE INDEX "trigger_alerts_heard_at" ON "trigger_alerts" USING btree ("heard_at");