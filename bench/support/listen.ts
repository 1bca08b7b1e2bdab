/** Loopback only: nothing that a bench or the demo starts can be reached from another machine. */
import type { Server } from "node:http";

/** Listens on a free port of the loopback. Resolves with the address, rejects when it cannot listen. */
export function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      server.off("error", reject);
      const address = server.address();
      if (typeof address === "object" && address !== null) resolve(`http://127.0.0.1:${address.port}`);
      else reject(new Error("the server listens on no TCP port"));
    });
  });
}
