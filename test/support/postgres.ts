/** The PostgreSQL of tests: the one that the bench and the soak have too. */
export { freePort } from "../../src/demo/free-port.ts";
export { type Cluster, startCluster } from "../../bench/support/postgres.ts";
