CREATE TABLE "calls_by_revision" (
	"environment_id" text NOT NULL,
	"minute" timestamp (3) with time zone NOT NULL,
	"flag" text NOT NULL,
	"lineage" text NOT NULL,
	"revision" bigint NOT NULL,
	"model" text NOT NULL,
	"requested_model" text NOT NULL,
	"attempts" bigint DEFAULT 0 NOT NULL,
	"nano_usd" numeric DEFAULT 0 NOT NULL,
	"newest_start" timestamp (3) with time zone NOT NULL,
	"newest_instance" text NOT NULL,
	CONSTRAINT "calls_by_revision_pk" PRIMARY KEY("environment_id","minute","flag","lineage","revision","model","requested_model")
);
--> statement-breakpoint
ALTER TABLE "calls_by_revision" ADD CONSTRAINT "calls_by_revision_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;