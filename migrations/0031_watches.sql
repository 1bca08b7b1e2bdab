CREATE TABLE "watch_settings" (
	"environment_id" text NOT NULL,
	"kind" text NOT NULL,
	"flag" text NOT NULL,
	"enabled" boolean NOT NULL,
	"limit_value" double precision NOT NULL,
	"minimum" double precision NOT NULL,
	"changed_by" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "watch_settings_environment_id_kind_flag_pk" PRIMARY KEY("environment_id","kind","flag")
);
--> statement-breakpoint
ALTER TABLE "incidents" ADD COLUMN "watch" jsonb;--> statement-breakpoint
ALTER TABLE "watch_settings" ADD CONSTRAINT "watch_settings_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;