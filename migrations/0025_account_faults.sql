CREATE TABLE "account_faults" (
	"environment_id" text NOT NULL,
	"fault" text NOT NULL,
	"flag" text NOT NULL,
	"instance" text NOT NULL,
	"since" timestamp (3) with time zone NOT NULL,
	"last_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "account_faults_environment_id_fault_flag_instance_pk" PRIMARY KEY("environment_id","fault","flag","instance")
);
--> statement-breakpoint
ALTER TABLE "incidents" ADD COLUMN "account" text;--> statement-breakpoint
ALTER TABLE "account_faults" ADD CONSTRAINT "account_faults_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "usage_recent_account" ON "usage_recent" USING btree ("environment_id","at") WHERE error_type in ('billing_error', 'authentication_error');