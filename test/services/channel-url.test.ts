/** Channel URLs: which are taken, and that a mask tells nobody how to use one. */
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { channelUrlFault, maskUrl } from "../../src/api/channel-url.ts";

describe("a channel's URL", () => {
  it.each([
    "https://hooks.test/services/T0/B0/secret",
    "https://hooks.test",
    "https://10.0.0.7:8443/alerts?key=1",
    "http://127.0.0.1:8080/x",
    "http://127.9.9.9/x",
    "http://localhost/x",
    "http://[::1]:9/x",
  ])("may be %s", (url) => {
    expect(channelUrlFault(url)).toBeNull();
  });

  it.each([
    "http://hooks.test/x",
    "http://10.0.0.7/x",
    "http://localhost.test/x",
    "http://127.0.0.1.test/x",
    "http://[::2]/x",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "https://user@hooks.test/x",
    "https://hooks.test/x#part",
    "hooks.test/x",
    "",
  ])("may not be %j", (url) => {
    expect(channelUrlFault(url)).not.toBeNull();
  });

  it("is shown by its host and at most its last four characters, and by none of a short secret", () => {
    expect(maskUrl("https://hooks.test:8443/services/T0/B0/abcdefgh")).toBe("https://hooks.test:8443/…efgh");
    expect(maskUrl("https://hooks.test/short")).toBe("https://hooks.test/…");
    fc.assert(
      fc.property(fc.webPath({ size: "medium" }), fc.webQueryParameters(), (path, query) => {
        const url = new URL(`https://hooks.test${path}?${query}`);
        const secret = `${url.pathname}${url.search}`;
        const shown = maskUrl(url.href).slice("https://hooks.test/…".length);
        expect(shown.length).toBeLessThanOrEqual(Math.min(4, secret.length / 4));
        expect(secret.endsWith(shown)).toBe(true);
      }),
    );
  });
});
