import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: ["./src/db/schema/state.ts", "./src/db/schema/money.ts"],
  out: "./migrations",
});
