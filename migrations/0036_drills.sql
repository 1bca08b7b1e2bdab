CREATE TABLE "drills" (
	"id" text PRIMARY KEY NOT NULL,
	"environment_id" text NOT NULL,
	"flag" text NOT NULL,
	"state" text NOT NULL,
	"by" text NOT NULL,
	"scheduled" boolean NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"ends_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	"lineage" text,
	"revision" bigint,
	"audit_id" bigint,
	"applied" integer,
	"live" integer,
	"last_ms" integer,
	"missing" jsonb NOT NULL,
	"note" text
);
--> statement-breakpoint
ALTER TABLE "drills" ADD CONSTRAINT "drills_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "drills_of_flag" ON "drills" USING btree ("environment_id","flag","started_at");--> statement-breakpoint
CREATE UNIQUE INDEX "drills_running" ON "drills" USING btree ("environment_id","flag") WHERE state = 'running';