/** An HTTP receiver of alerts on this machine whose behaviour a test changes as it goes. It keeps what it was sent. */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";

export interface Received {
  headers: IncomingHttpHeaders;
  body: string;
  /** What was answered; null when nothing was. */
  status: number | null;
}

/** How it answers: a status, with headers; `hang` never answers; `reset` breaks the connection off. */
export type Behaviour =
  | { status: number; headers?: Record<string, string>; body?: string }
  | { hang: true }
  | { reset: true };

export interface Receiver {
  url: string;
  /** Every request that arrived, in order. */
  received: Received[];
  /** The bodies that it took with a 2xx. */
  taken(): string[];
  /** From now on; a function decides by the body. */
  behave(behaviour: Behaviour | ((body: string) => Behaviour)): void;
  /** Stops listening, keeping the port for `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  let decide = always({ status: 200 });
  const answer = (response: ServerResponse, body: string): number | null => {
    const behaviour = decide(body);
    if ("hang" in behaviour) return null;
    if ("reset" in behaviour) {
      response.destroy();
      return null;
    }
    response.writeHead(behaviour.status, behaviour.headers).end(behaviour.body);
    return behaviour.status;
  };
  const open = (port: number) =>
    new Promise<Server>((resolve) => {
      const server = createServer((request, response) => {
        let body = "";
        request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
        request.on("end", () => {
          const entry: Received = { headers: request.headers, body, status: null };
          entry.status = answer(response, body);
          received.push(entry);
        });
      });
      server.listen(port, "127.0.0.1", () => resolve(server));
    });
  let server = await open(0);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  const { port } = address;
  const down = async () => {
    if (!server.listening) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return {
    url: `http://127.0.0.1:${port}/services/T000/B000/a-long-secret-path`,
    received,
    taken: () =>
      received.filter(({ status }) => status !== null && status >= 200 && status < 300).map(({ body }) => body),
    behave: (next) => {
      decide = typeof next === "function" ? next : always(next);
    },
    down,
    up: async () => {
      server = await open(port);
    },
    close: down,
  };
}

function always(behaviour: Behaviour): (body: string) => Behaviour {
  return () => behaviour;
}
