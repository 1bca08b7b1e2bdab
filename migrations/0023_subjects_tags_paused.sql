CREATE TABLE "subject_windows" (
	"budget_id" text NOT NULL,
	"starts_at" timestamp (3) with time zone NOT NULL,
	"subject" text NOT NULL,
	"spent_nano_usd" numeric DEFAULT 0 NOT NULL,
	"exact_nano_usd" numeric DEFAULT 0 NOT NULL,
	"action" text,
	"level" integer,
	"lifted_nano_usd" numeric,
	"lifted_by" text,
	CONSTRAINT "subject_windows_budget_id_starts_at_subject_pk" PRIMARY KEY("budget_id","starts_at","subject")
);
--> statement-breakpoint
CREATE TABLE "verdict_heads" (
	"environment_id" text PRIMARY KEY NOT NULL,
	"n" bigint NOT NULL,
	"floor" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "verdicts" (
	"environment_id" text NOT NULL,
	"budget_id" text NOT NULL,
	"subject" text NOT NULL,
	"n" bigint NOT NULL,
	"action" text NOT NULL,
	"level" integer,
	"until" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "verdicts_environment_id_budget_id_subject_pk" PRIMARY KEY("environment_id","budget_id","subject")
);
--> statement-breakpoint
ALTER TABLE "flags" ADD COLUMN "tags" text[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "tag" text;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "user_scope" text;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "session_scope" text;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "paused" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "subject_windows" ADD CONSTRAINT "subject_windows_budget_id_budgets_id_fk" FOREIGN KEY ("budget_id") REFERENCES "public"."budgets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "verdict_heads" ADD CONSTRAINT "verdict_heads_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "verdicts" ADD CONSTRAINT "verdicts_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "subject_windows_acted" ON "subject_windows" USING btree ("budget_id","starts_at","spent_nano_usd" DESC NULLS LAST) WHERE action is not null or lifted_by is not null;--> statement-breakpoint
CREATE INDEX "verdicts_n" ON "verdicts" USING btree ("environment_id","n");--> statement-breakpoint
CREATE INDEX "verdicts_until" ON "verdicts" USING btree ("until");