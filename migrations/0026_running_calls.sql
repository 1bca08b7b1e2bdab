CREATE TABLE "running_calls" (
	"environment_id" text NOT NULL,
	"instance" text NOT NULL,
	"boot" text NOT NULL,
	"told_at" timestamp (3) with time zone NOT NULL,
	"running" jsonb NOT NULL,
	"credits" jsonb NOT NULL,
	"credits_before" jsonb NOT NULL,
	"unanswered" jsonb DEFAULT '{}'::jsonb NOT NULL,
	CONSTRAINT "running_calls_environment_id_instance_boot_pk" PRIMARY KEY("environment_id","instance","boot")
);
--> statement-breakpoint
ALTER TABLE "trips" ADD COLUMN "bound_nano_usd" bigint;--> statement-breakpoint
ALTER TABLE "trips" ADD COLUMN "bound_not_reporting" integer;--> statement-breakpoint
ALTER TABLE "running_calls" ADD CONSTRAINT "running_calls_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;