CREATE TABLE "message_batches" (
	"environment_id" text NOT NULL,
	"id" text NOT NULL,
	"flag" text NOT NULL,
	"state" text NOT NULL,
	"instance" text NOT NULL,
	"user_id" text,
	"session_id" text,
	"requests" integer NOT NULL,
	"submitted_at" timestamp (3) with time zone NOT NULL,
	"told_at" timestamp (3) with time zone NOT NULL,
	"estimated_nano_usd" bigint DEFAULT 0 NOT NULL,
	"left_estimates" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"cancel_asked_at" timestamp (3) with time zone,
	"cancel_asked_by" text,
	"cancel_ordered_at" timestamp (3) with time zone,
	"cancel_ordered_to" text,
	"cancel_tries" integer DEFAULT 0 NOT NULL,
	"cancel_outcome" text,
	"cancel_detail" text,
	"cancel_outcome_at" timestamp (3) with time zone,
	CONSTRAINT "message_batches_environment_id_id_pk" PRIMARY KEY("environment_id","id")
);
--> statement-breakpoint
ALTER TABLE "message_batches" ADD CONSTRAINT "message_batches_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "message_batches_flag" ON "message_batches" USING btree ("environment_id","flag","submitted_at");--> statement-breakpoint
CREATE INDEX "message_batches_submitted" ON "message_batches" USING btree ("submitted_at");--> statement-breakpoint
CREATE INDEX "message_batches_orders" ON "message_batches" USING btree ("environment_id") WHERE cancel_asked_at is not null and cancel_outcome is null;