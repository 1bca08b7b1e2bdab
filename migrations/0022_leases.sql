CREATE TABLE "lease_requests" (
	"budget_id" text NOT NULL,
	"request_id" text NOT NULL,
	"lease_id" text NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "lease_requests_budget_id_request_id_pk" PRIMARY KEY("budget_id","request_id")
);
--> statement-breakpoint
CREATE TABLE "lease_wants" (
	"budget_id" text NOT NULL,
	"request_id" text NOT NULL,
	"instance" text NOT NULL,
	"server" text NOT NULL,
	"since" timestamp (3) with time zone NOT NULL,
	"said_since_ms" bigint NOT NULL,
	"at_least_nano_usd" bigint NOT NULL,
	"overtaken" integer DEFAULT 0 NOT NULL,
	"waits_until" timestamp (3) with time zone NOT NULL,
	"lives_until" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "lease_wants_budget_id_request_id_pk" PRIMARY KEY("budget_id","request_id")
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"id" text PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"budget_id" text NOT NULL,
	"window_starts_at" timestamp (3) with time zone NOT NULL,
	"window_ends_at" timestamp (3) with time zone NOT NULL,
	"instance" text NOT NULL,
	"state" text NOT NULL,
	"recalled" boolean DEFAULT false NOT NULL,
	"granted_nano_usd" bigint DEFAULT 0 NOT NULL,
	"released_nano_usd" bigint DEFAULT 0 NOT NULL,
	"settled_nano_usd" bigint DEFAULT 0 NOT NULL,
	"spent_nano_usd" bigint DEFAULT 0 NOT NULL,
	"in_flight_nano_usd" bigint DEFAULT 0 NOT NULL,
	"granted_at" timestamp (3) with time zone NOT NULL,
	"renewed_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "reserved_nano_usd" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "indeterminate_nano_usd" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "budget_windows" ADD COLUMN "scarce_until" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "on_unavailable" text DEFAULT 'allow' NOT NULL;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "reserve_wait_ms" integer DEFAULT 2000 NOT NULL;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "min_tokens" integer DEFAULT 256 NOT NULL;--> statement-breakpoint
ALTER TABLE "lease_requests" ADD CONSTRAINT "lease_requests_budget_id_budgets_id_fk" FOREIGN KEY ("budget_id") REFERENCES "public"."budgets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "lease_wants" ADD CONSTRAINT "lease_wants_budget_id_budgets_id_fk" FOREIGN KEY ("budget_id") REFERENCES "public"."budgets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leases" ADD CONSTRAINT "leases_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leases" ADD CONSTRAINT "leases_budget_id_budgets_id_fk" FOREIGN KEY ("budget_id") REFERENCES "public"."budgets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "lease_requests_at" ON "lease_requests" USING btree ("at");--> statement-breakpoint
CREATE INDEX "lease_wants_lives" ON "lease_wants" USING btree ("lives_until");--> statement-breakpoint
CREATE INDEX "leases_window" ON "leases" USING btree ("budget_id","window_starts_at","state");--> statement-breakpoint
CREATE INDEX "leases_environment" ON "leases" USING btree ("environment_id","state","renewed_at");--> statement-breakpoint
CREATE INDEX "leases_ended" ON "leases" USING btree ("ended_at");