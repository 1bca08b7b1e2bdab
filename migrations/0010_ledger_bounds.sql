CREATE TABLE "usage_names" (
	"environment_id" text NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"token_id" text NOT NULL,
	"admitted_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "usage_names_environment_id_kind_name_pk" PRIMARY KEY("environment_id","kind","name")
);
--> statement-breakpoint
ALTER TABLE "budget_windows" ALTER COLUMN "spent_nano_usd" SET DATA TYPE numeric;--> statement-breakpoint
ALTER TABLE "budget_windows" ALTER COLUMN "exact_nano_usd" SET DATA TYPE numeric;--> statement-breakpoint
ALTER TABLE "usage_minutes" ALTER COLUMN "exact_nano_usd" SET DATA TYPE numeric,
	ALTER COLUMN "estimated_nano_usd" SET DATA TYPE numeric,
	ALTER COLUMN "latency" SET DATA TYPE bigint[];--> statement-breakpoint
ALTER TABLE "usage_names" ADD CONSTRAINT "usage_names_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;