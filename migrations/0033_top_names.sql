CREATE TABLE "usage_staged" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"hour" timestamp (3) with time zone NOT NULL,
	"rows" integer NOT NULL,
	"nano_usd" numeric DEFAULT 0 NOT NULL,
	"sums" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "usage_top_names" (
	"environment_id" text NOT NULL,
	"grain" integer NOT NULL,
	"by" text NOT NULL,
	"start" timestamp (3) with time zone NOT NULL,
	"name" text NOT NULL,
	"flag" text NOT NULL,
	"model" text NOT NULL,
	"calls" bigint DEFAULT 0 NOT NULL,
	"attempts" bigint DEFAULT 0 NOT NULL,
	"errors" bigint DEFAULT 0 NOT NULL,
	"aborted" bigint DEFAULT 0 NOT NULL,
	"refused" bigint DEFAULT 0 NOT NULL,
	"prompt" bigint DEFAULT 0 NOT NULL,
	"output" bigint DEFAULT 0 NOT NULL,
	"exact_nano_usd" numeric DEFAULT 0 NOT NULL,
	"estimated_nano_usd" numeric DEFAULT 0 NOT NULL,
	CONSTRAINT "usage_top_names_pk" PRIMARY KEY("environment_id","grain","by","start","name","flag","model")
);
--> statement-breakpoint
CREATE TABLE "usage_top_spans" (
	"environment_id" text NOT NULL,
	"grain" integer NOT NULL,
	"by" text NOT NULL,
	"start" timestamp (3) with time zone NOT NULL,
	"nano_usd" numeric DEFAULT 0 NOT NULL,
	"left_out_nano_usd" numeric DEFAULT 0 NOT NULL,
	"rows" integer NOT NULL,
	"is_open" boolean NOT NULL,
	CONSTRAINT "usage_top_spans_environment_id_grain_by_start_pk" PRIMARY KEY("environment_id","grain","by","start")
);
--> statement-breakpoint
ALTER TABLE "usage_staged" ADD CONSTRAINT "usage_staged_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "usage_top_names" ADD CONSTRAINT "usage_top_names_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "usage_top_spans" ADD CONSTRAINT "usage_top_spans_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "usage_top_spans_open" ON "usage_top_spans" USING btree ("start") WHERE is_open;--> statement-breakpoint
-- Written once and read once: not worth compressing within the ledger's transaction.
ALTER TABLE "usage_staged" ALTER COLUMN "sums" SET STORAGE EXTERNAL;--> statement-breakpoint
-- Months that are rolled up by the day are read by the month from now on.
INSERT INTO usage_rollups (environment_id, grain, start, flag, model, calls, attempts, errors, aborted, refused, input, output, cache_write_5m, cache_write_1h, cache_read, web_searches, exact_nano_usd, estimated_nano_usd, unpriced, ended, cut, largest_tokens, latency)
SELECT r.environment_id, 2592000, date_trunc('month', r.start, 'UTC') AS month, r.flag, r.model,
	sum(r.calls), sum(r.attempts), sum(r.errors), sum(r.aborted), sum(r.refused), sum(r.input), sum(r.output), sum(r.cache_write_5m), sum(r.cache_write_1h), sum(r.cache_read), sum(r.web_searches), sum(r.exact_nano_usd), sum(r.estimated_nano_usd), sum(r.unpriced), sum(r.ended), sum(r.cut), max(r.largest_tokens),
	array[sum(r.latency[1]), sum(r.latency[2]), sum(r.latency[3]), sum(r.latency[4]), sum(r.latency[5]), sum(r.latency[6]), sum(r.latency[7]), sum(r.latency[8]), sum(r.latency[9]), sum(r.latency[10]), sum(r.latency[11]), sum(r.latency[12]), sum(r.latency[13]), sum(r.latency[14]), sum(r.latency[15]), sum(r.latency[16]), sum(r.latency[17]), sum(r.latency[18]), sum(r.latency[19]), sum(r.latency[20]), sum(r.latency[21]), sum(r.latency[22]), sum(r.latency[23]), sum(r.latency[24])]
FROM usage_rollups AS r JOIN usage_rolled AS u ON u.environment_id = r.environment_id
	AND date_trunc('month', r.start, 'UTC') >= u.from_at
	AND (date_trunc('month', r.start, 'UTC') AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' <= u.until_at
WHERE r.grain = 86400 AND r.start < u.until_at
GROUP BY r.environment_id, month, r.flag, r.model;
