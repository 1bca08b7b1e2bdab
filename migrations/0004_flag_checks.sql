CREATE TABLE "flag_checks" (
	"environment_id" text NOT NULL,
	"flag" text NOT NULL,
	"checked_at" timestamp (3) with time zone NOT NULL,
	"on_count" bigint DEFAULT 0 NOT NULL,
	"off_count" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "flag_checks_environment_id_flag_pk" PRIMARY KEY("environment_id","flag")
);
--> statement-breakpoint
ALTER TABLE "flag_checks" ADD CONSTRAINT "flag_checks_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;