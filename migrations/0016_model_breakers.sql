CREATE TABLE "model_breakers" (
	"environment_id" text NOT NULL,
	"model" text NOT NULL,
	"state" text NOT NULL,
	"since" timestamp (3) with time zone NOT NULL,
	"state_since" timestamp (3) with time zone NOT NULL,
	"counts_from" bigint DEFAULT 0 NOT NULL,
	"probe_at" timestamp (3) with time zone,
	"probe_share" double precision,
	"rounds" integer DEFAULT 0 NOT NULL,
	"calls" integer NOT NULL,
	"failures" integer NOT NULL,
	"instances" integer NOT NULL,
	"failing_instances" integer NOT NULL,
	"overridden_by" text,
	"override_reason" text,
	CONSTRAINT "model_breakers_environment_id_model_pk" PRIMARY KEY("environment_id","model")
);
--> statement-breakpoint
CREATE TABLE "fleet_calls" (
	"environment_id" text NOT NULL,
	"model" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"revision" bigint NOT NULL,
	"answered" integer NOT NULL,
	"failed" integer NOT NULL,
	"wanted" integer NOT NULL,
	"instances" text[] NOT NULL,
	"answered_of" integer[] NOT NULL,
	"failed_of" integer[] NOT NULL
);
--> statement-breakpoint
ALTER TABLE "incidents" ADD COLUMN "model" text;--> statement-breakpoint
ALTER TABLE "model_breakers" ADD CONSTRAINT "model_breakers_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "fleet_calls" ADD CONSTRAINT "fleet_calls_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "fleet_calls_model" ON "fleet_calls" USING btree ("environment_id","model","at");--> statement-breakpoint
CREATE INDEX "fleet_calls_failed" ON "fleet_calls" USING btree ("environment_id","at") WHERE failed > 0;