/** Starts one PostgreSQL for the whole run, with a migrated template that each test file copies in milliseconds. */
import { pino } from "pino";
import type { TestProject } from "vitest/node";
import { connect } from "../../src/db/connect.ts";
import { startCluster } from "./postgres.ts";

const TEMPLATE = "andon_template";

declare module "vitest" {
  export interface ProvidedContext {
    /** Superuser's URL of the cluster's maintenance database. */
    postgresAdminUrl: string;
    postgresTemplate: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await startCluster();
  await cluster.execute(`create database ${TEMPLATE}`);
  const database = await connect({ kind: "postgres", url: cluster.url(TEMPLATE) }, pino({ level: "silent" }));
  await database.migrate();
  await database.close();
  project.provide("postgresAdminUrl", cluster.url("postgres"));
  project.provide("postgresTemplate", TEMPLATE);
  return () => cluster.stop();
}
