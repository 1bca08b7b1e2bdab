/** A real SMTP server on this machine that keeps the mails it takes; a test says which it does not take. */
import { SMTPServer } from "smtp-server";

export interface Mail {
  from: string;
  to: string[];
  /** Headers and body as they came, long lines of quoted-printable joined again. */
  source: string;
}

export interface MailServer {
  url: string;
  /** What it took, in order. */
  mails: Mail[];
  /** Answers every recipient with this code until it is called with null. */
  refuse(code: number | null): void;
  /** Takes connections and says nothing. */
  hang(): void;
  down(): Promise<void>;
  up(): Promise<void>;
}

export async function startMailServer(user?: { name: string; password: string }): Promise<MailServer> {
  const mails: Mail[] = [];
  let refused: number | null = null;
  let hangs = false;
  const open = (port: number) =>
    new Promise<SMTPServer>((resolve) => {
      const server = new SMTPServer({
        disabledCommands: ["STARTTLS"],
        allowInsecureAuth: true,
        authOptional: user === undefined,
        onConnect: (_session, done) => {
          if (!hangs) done();
        },
        onAuth: (auth, _session, done) => {
          const known = auth.username === user?.name && auth.password === user?.password;
          if (known) done(null, { user: auth.username });
          else done(Object.assign(new Error("a secret that the server repeats"), { responseCode: 535 }));
        },
        onRcptTo: (_address, _session, done) => {
          if (refused === null) done();
          else done(Object.assign(new Error("a secret that the server repeats"), { responseCode: refused }));
        },
        onData: (stream, { envelope }, done) => {
          let source = "";
          stream.on("data", (chunk: Buffer) => (source += chunk.toString("utf8")));
          stream.on("end", () => {
            const from = envelope.mailFrom === false ? "" : envelope.mailFrom.address;
            mails.push({
              from,
              to: envelope.rcptTo.map(({ address }) => address),
              source: source.replaceAll("=\r\n", ""),
            });
            done();
          });
        },
      });
      server.listen(port, "127.0.0.1", () => resolve(server));
    });
  let server = await open(0);
  const address = server.server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  const { port } = address;
  const login = user === undefined ? "" : `${user.name}:${user.password}@`;
  return {
    url: `smtp://${login}127.0.0.1:${port}`,
    mails,
    refuse: (code) => {
      refused = code;
    },
    hang: () => {
      hangs = true;
    },
    down: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
    up: async () => {
      hangs = false;
      server = await open(port);
    },
  };
}
