CREATE TABLE "unknown_flags" (
	"environment_id" text NOT NULL,
	"flag" text NOT NULL,
	"asked_at" timestamp (3) with time zone NOT NULL,
	"instance" text NOT NULL,
	CONSTRAINT "unknown_flags_environment_id_flag_pk" PRIMARY KEY("environment_id","flag")
);
--> statement-breakpoint
ALTER TABLE "unknown_flags" ADD CONSTRAINT "unknown_flags_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;