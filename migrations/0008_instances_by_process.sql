CREATE TABLE "instances_not_counted" (
	"environment_id" text NOT NULL,
	"token_id" text NOT NULL,
	"because" text NOT NULL,
	"at_least" integer NOT NULL,
	"seen_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "instances_not_counted_environment_id_token_id_pk" PRIMARY KEY("environment_id","token_id")
);
--> statement-breakpoint
DROP INDEX "instances_last_seen";--> statement-breakpoint
ALTER TABLE "instances" DROP CONSTRAINT "instances_environment_id_instance_pk";--> statement-breakpoint
ALTER TABLE "receipts" DROP CONSTRAINT "receipts_environment_id_lineage_revision_instance_pk";--> statement-breakpoint
ALTER TABLE "instances" ADD COLUMN "boot" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "instances" ADD COLUMN "stopped_by" text;--> statement-breakpoint
ALTER TABLE "instances" ADD COLUMN "local" text[];--> statement-breakpoint
ALTER TABLE "receipts" ADD COLUMN "boot" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "receipts" ADD COLUMN "first_seen" timestamp (3) with time zone DEFAULT now() NOT NULL;--> statement-breakpoint
ALTER TABLE "instances" ADD CONSTRAINT "instances_environment_id_instance_boot_pk" PRIMARY KEY("environment_id","instance","boot");--> statement-breakpoint
ALTER TABLE "receipts" ADD CONSTRAINT "receipts_environment_id_lineage_revision_instance_boot_pk" PRIMARY KEY("environment_id","lineage","revision","instance","boot");--> statement-breakpoint
ALTER TABLE "instances_not_counted" ADD CONSTRAINT "instances_not_counted_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "instances_not_counted" ADD CONSTRAINT "instances_not_counted_token_id_tokens_id_fk" FOREIGN KEY ("token_id") REFERENCES "public"."tokens"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_environment_id_revision" ON "audit" USING btree ("environment_id","revision");--> statement-breakpoint
CREATE INDEX "instances_running" ON "instances" USING btree ("environment_id") WHERE stopped_at is null;--> statement-breakpoint
CREATE INDEX "instances_stopped" ON "instances" USING btree ("environment_id","stopped_at") WHERE stopped_at is not null;