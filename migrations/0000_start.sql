CREATE TABLE "audit" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"environment_id" text,
	"revision" bigint,
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"actor" jsonb NOT NULL,
	"action" text NOT NULL,
	"target_kind" text NOT NULL,
	"target" text NOT NULL,
	"reason" text,
	"before" jsonb,
	"after" jsonb,
	"request_id" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "chains" (
	"environment_id" text NOT NULL,
	"name" text NOT NULL,
	"steps" jsonb NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "chains_environment_id_name_pk" PRIMARY KEY("environment_id","name")
);
--> statement-breakpoint
CREATE TABLE "environments" (
	"id" text PRIMARY KEY NOT NULL,
	"key" text NOT NULL,
	"name" text NOT NULL,
	"revision" bigint DEFAULT 1 NOT NULL,
	"committed_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"master_state" text DEFAULT 'on' NOT NULL,
	"master_reason" text,
	"master_by" text,
	"master_since" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"master_until" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "environments_key_unique" UNIQUE("key")
);
--> statement-breakpoint
CREATE TABLE "flags" (
	"environment_id" text NOT NULL,
	"key" text NOT NULL,
	"name" text NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"owner" text DEFAULT '' NOT NULL,
	"runbook_url" text,
	"chain" text,
	"off_mode" text DEFAULT 'error' NOT NULL,
	"off_message" text,
	"abort_in_flight" boolean DEFAULT false NOT NULL,
	"clamp_max_tokens" boolean DEFAULT false NOT NULL,
	"rules" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"rollout" double precision DEFAULT 100 NOT NULL,
	"salt" text NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"state" text DEFAULT 'on' NOT NULL,
	"cause" text,
	"reason" text,
	"by" text,
	"since" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"until" timestamp (3) with time zone,
	"ramp" double precision,
	"level_model" text,
	"level" integer,
	"level_reason" text,
	"level_by" text,
	"level_since" timestamp (3) with time zone,
	"level_until" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "flags_environment_id_key_pk" PRIMARY KEY("environment_id","key")
);
--> statement-breakpoint
CREATE TABLE "installation" (
	"id" integer PRIMARY KEY NOT NULL,
	"lineage_salt" text NOT NULL,
	"tokens_version" bigint DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "instances" (
	"environment_id" text NOT NULL,
	"instance" text NOT NULL,
	"app" text,
	"sdk" text,
	"lineage" text,
	"revision" bigint,
	"applied_at" timestamp (3) with time zone,
	"first_seen" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_seen" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"stopped_at" timestamp (3) with time zone,
	CONSTRAINT "instances_environment_id_instance_pk" PRIMARY KEY("environment_id","instance")
);
--> statement-breakpoint
CREATE TABLE "model_blocks" (
	"environment_id" text NOT NULL,
	"model" text NOT NULL,
	"reason" text,
	"by" text NOT NULL,
	"since" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"until" timestamp (3) with time zone,
	CONSTRAINT "model_blocks_environment_id_model_pk" PRIMARY KEY("environment_id","model")
);
--> statement-breakpoint
CREATE TABLE "receipts" (
	"environment_id" text NOT NULL,
	"lineage" text NOT NULL,
	"revision" bigint NOT NULL,
	"instance" text NOT NULL,
	"applied_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "receipts_environment_id_lineage_revision_instance_pk" PRIMARY KEY("environment_id","lineage","revision","instance")
);
--> statement-breakpoint
CREATE TABLE "revisions" (
	"environment_id" text NOT NULL,
	"revision" bigint NOT NULL,
	"committed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "revisions_environment_id_revision_pk" PRIMARY KEY("environment_id","revision")
);
--> statement-breakpoint
CREATE TABLE "sign_in_links" (
	"hash" text PRIMARY KEY NOT NULL,
	"token_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "tokens" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"hash" text,
	"role" text,
	"environment_ids" jsonb,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	CONSTRAINT "tokens_hash_unique" UNIQUE("hash")
);
--> statement-breakpoint
ALTER TABLE "audit" ADD CONSTRAINT "audit_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "chains" ADD CONSTRAINT "chains_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "flags" ADD CONSTRAINT "flags_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "flags" ADD CONSTRAINT "flags_environment_id_chain_chains_environment_id_name_fk" FOREIGN KEY ("environment_id","chain") REFERENCES "public"."chains"("environment_id","name") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "instances" ADD CONSTRAINT "instances_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "model_blocks" ADD CONSTRAINT "model_blocks_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "receipts" ADD CONSTRAINT "receipts_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "revisions" ADD CONSTRAINT "revisions_environment_id_environments_id_fk" FOREIGN KEY ("environment_id") REFERENCES "public"."environments"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sign_in_links" ADD CONSTRAINT "sign_in_links_token_id_tokens_id_fk" FOREIGN KEY ("token_id") REFERENCES "public"."tokens"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_environment_id_id" ON "audit" USING btree ("environment_id","id");--> statement-breakpoint
CREATE INDEX "audit_target" ON "audit" USING btree ("environment_id","target_kind","target","id");--> statement-breakpoint
CREATE INDEX "instances_last_seen" ON "instances" USING btree ("last_seen");