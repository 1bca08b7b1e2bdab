CREATE TABLE "usage_rolled" (
	"environment_id" text PRIMARY KEY NOT NULL,
	"from_at" timestamp (3) with time zone NOT NULL,
	"until_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "usage_rollups" (
	"environment_id" text NOT NULL,
	"grain" integer NOT NULL,
	"start" timestamp (3) with time zone NOT NULL,
	"flag" text NOT NULL,
	"model" text NOT NULL,
	"calls" bigint DEFAULT 0 NOT NULL,
	"attempts" bigint DEFAULT 0 NOT NULL,
	"errors" bigint DEFAULT 0 NOT NULL,
	"aborted" bigint DEFAULT 0 NOT NULL,
	"refused" bigint DEFAULT 0 NOT NULL,
	"input" bigint DEFAULT 0 NOT NULL,
	"output" bigint DEFAULT 0 NOT NULL,
	"cache_write_5m" bigint DEFAULT 0 NOT NULL,
	"cache_write_1h" bigint DEFAULT 0 NOT NULL,
	"cache_read" bigint DEFAULT 0 NOT NULL,
	"web_searches" bigint DEFAULT 0 NOT NULL,
	"exact_nano_usd" numeric DEFAULT 0 NOT NULL,
	"estimated_nano_usd" numeric DEFAULT 0 NOT NULL,
	"unpriced" bigint DEFAULT 0 NOT NULL,
	"latency" bigint[] NOT NULL,
	CONSTRAINT "usage_rollups_environment_id_grain_start_flag_model_pk" PRIMARY KEY("environment_id","grain","start","flag","model")
);
--> statement-breakpoint
ALTER TABLE "usage_rolled" ADD CONSTRAINT "usage_rolled_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "usage_rollups" ADD CONSTRAINT "usage_rollups_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "usage_minutes_unpriced" ON "usage_minutes" USING btree ("environment_id","minute") WHERE unpriced > 0;--> statement-breakpoint
CREATE INDEX "usage_recent_environment_at" ON "usage_recent" USING btree ("environment_id","at");