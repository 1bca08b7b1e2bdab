CREATE TABLE "provider_costs" (
	"day" timestamp (3) with time zone NOT NULL,
	"workspace" text NOT NULL,
	"kind" text NOT NULL,
	"model" text NOT NULL,
	"nano_usd" numeric NOT NULL,
	CONSTRAINT "provider_costs_day_workspace_kind_model_pk" PRIMARY KEY("day","workspace","kind","model")
);
--> statement-breakpoint
CREATE TABLE "provider_days" (
	"day" timestamp (3) with time zone PRIMARY KEY NOT NULL,
	"read_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "provider_polls" (
	"id" integer PRIMARY KEY NOT NULL,
	"settings" text NOT NULL,
	"next_at" timestamp (3) with time zone NOT NULL,
	"read_at" timestamp (3) with time zone,
	"failures" integer DEFAULT 0 NOT NULL,
	"error" text,
	"error_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "provider_usage" (
	"day" timestamp (3) with time zone NOT NULL,
	"workspace" text NOT NULL,
	"api_key" text NOT NULL,
	"model" text NOT NULL,
	"tier" text NOT NULL,
	"context_window" text NOT NULL,
	"geo" text NOT NULL,
	"input" bigint DEFAULT 0 NOT NULL,
	"output" bigint DEFAULT 0 NOT NULL,
	"cache_write_5m" bigint DEFAULT 0 NOT NULL,
	"cache_write_1h" bigint DEFAULT 0 NOT NULL,
	"cache_read" bigint DEFAULT 0 NOT NULL,
	"web_searches" bigint DEFAULT 0 NOT NULL,
	CONSTRAINT "provider_usage_pk" PRIMARY KEY("day","workspace","api_key","model","tier","context_window","geo")
);
--> statement-breakpoint
ALTER TABLE "incidents" ADD COLUMN "drift" jsonb;