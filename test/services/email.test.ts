/** Alerts by e-mail, through a real SMTP server: each once and in order, readable as text, and nothing in it is markup. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createNotify } from "../../src/adapters/notify/notify.ts";
import { SEND_TIMEOUT_MS } from "../../src/adapters/notify/post.ts";
import type { Deps } from "../../src/deps.ts";
import type { AlertDelivery } from "../../src/services/alerts/delivery.ts";
import { testChannel } from "../../src/services/alerts/channel-test.ts";
import { createChannel, deleteChannel, listChannels, updateChannel } from "../../src/services/alerts/channels.ts";
import { alertsOf, deliveryOf, turns, writeAlert } from "../support/alerts.ts";
import { FakeClock } from "../support/clock.ts";
import { type MailServer, startMailServer } from "../support/mail-server.ts";
import { adminCtx, startTestServer, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const FROM = "andon@example.com";
const TO = "on-call@example.com";

let clock: FakeClock;
let server: TestServer;
let deps: Deps;
let mailServer: MailServer;
let delivery: AlertDelivery;
let channelId: string;

beforeAll(async () => {
  clock = new FakeClock();
  mailServer = await startMailServer();
  const smtp = { url: mailServer.url, from: FROM, requireTls: false };
  server = await startTestServer({ clock, settings: { smtp } });
  deps = server.deps;
});
afterAll(async () => {
  await server.close();
  await mailServer.down();
});
beforeEach(async () => {
  mailServer.mails.length = 0;
  mailServer.refuse(null);
  delivery = deliveryOf(deps);
  const channel = { kind: "email", name: "on-call", to: TO } as const;
  channelId = (await createChannel(adminCtx(deps), "production", channel)).value.id;
  return async () => {
    await delivery.close();
    await deleteChannel(adminCtx(deps), "production", channelId);
  };
});

const subjects = () => mailServer.mails.map(({ source }) => /^Subject: (.*)$/m.exec(source)?.[1]?.trim());

it("each alert is one mail to the channel's address, as text and as HTML in which nothing of the alert is markup", async () => {
  await writeAlert(deps, "<b>Daily</b> reached 80 %");
  await turns(delivery, clock, 2);
  expect(mailServer.mails).toMatchObject([{ from: FROM, to: [TO] }]);
  const source = mailServer.mails[0]?.source ?? "";
  expect(source).toContain("Auto-Submitted: auto-generated");
  expect(source).toMatch(/^Message-ID: <msg_[0-9a-f-]+@127\.0\.0\.1>\r$/m);
  expect(source).toContain("<b>Daily</b> reached 80 %\r\n");
  expect(source).toContain("<p>&lt;b&gt;Daily&lt;/b&gt; reached 80 %</p>");
  expect(source.replaceAll("=3D", "=")).toContain(
    '<a href="http://127.0.0.1:4280/e/production/incidents">Open the board</a>',
  );
});

it("a mail server that is down for ten minutes gets everything once when it is back", async () => {
  await mailServer.down();
  for (const text of ["one", "two", "three"]) await writeAlert(deps, text);
  await turns(delivery, clock, 60, 10_000);
  expect((await alertsOf(deps))[0]).toMatchObject({
    state: "waiting",
    lastError: "The mail server refused the connection (ECONNREFUSED).",
  });
  await mailServer.up();
  await turns(delivery, clock, 70, 10_000);
  expect(new Set(subjects())).toEqual(new Set(["[production] one", "[production] two", "[production] three"]));
  expect(mailServer.mails).toHaveLength(3);
});

it("what it does not take for now is sent again, by the same message id; what it never takes fails with what to do", async () => {
  mailServer.refuse(451);
  await writeAlert(deps, "one");
  await turns(delivery, clock, 3);
  expect((await alertsOf(deps))[0]).toMatchObject({ state: "waiting", lastError: "The mail server answered 451." });
  mailServer.refuse(550);
  await turns(delivery, clock, 10);
  expect((await alertsOf(deps))[0]).toMatchObject({
    state: "failed",
    lastError: "The mail server does not take mail for this address (550). Correct it here, then retry.",
  });
  expect(mailServer.mails).toEqual([]);
});

it("one that never answers is given ten seconds", async () => {
  mailServer.hang();
  await writeAlert(deps, "one");
  await delivery.begin();
  await until("it is asked", async () => (await alertsOf(deps))[0]?.attempts === 1);
  await until("the attempt has its timeout", () => clock.pending > 0);
  clock.advance(SEND_TIMEOUT_MS);
  await delivery.idle();
  expect((await alertsOf(deps))[0]).toMatchObject({ state: "waiting", lastError: "No answer within 10 s." });
  await mailServer.down();
  await mailServer.up();
});

it("the test says what came of it, also that this server has no mail server or a wrong password, and repeats nothing of it", async () => {
  const ctx = adminCtx(deps);
  await updateChannel(ctx, "production", channelId, { to: "night@example.com" });
  expect((await listChannels(ctx, "production")).items).toMatchObject([
    { kind: "email", url: "mailto:night@example.com" },
  ]);
  expect((await testChannel(ctx, "production", channelId)).text).toMatch(/^Delivered in \d+ ms\.$/);
  expect(mailServer.mails).toMatchObject([{ to: ["night@example.com"] }]);
  const withNotify = (notify: Deps["notify"]) =>
    testChannel({ ...ctx, deps: { ...deps, notify } }, "production", channelId);
  expect(await withNotify(createNotify(clock, null))).toMatchObject({
    delivered: false,
    text: "This server has no ANDON_SMTP_URL to send by.",
  });
  const locked = await startMailServer({ name: "andon", password: "right" });
  const smtp = { url: locked.url.replace("right", "wrong"), from: FROM, requireTls: false };
  expect((await withNotify(createNotify(clock, smtp))).text).toBe(
    "The mail server refused the user or password of ANDON_SMTP_URL (535).",
  );
  expect((await withNotify(createNotify(clock, { ...smtp, url: locked.url, requireTls: true }))).text).toBe(
    "The mail server does not encrypt, and a password is not sent without that.",
  );
  await locked.down();
});
