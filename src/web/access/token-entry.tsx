/** One token in the list: what it may do and who made it. Never its secret, which nobody has any more. */
import type { TokenResource } from "../../api/token.ts";
import { Moment } from "../shell/moment.tsx";

export function TokenEntry({ token, base, nowMs }: { token: TokenResource; base: string; nowMs: number }) {
  const over = token.revokedAt !== null;
  return (
    <li class="entry">
      <div>
        <p>
          <b>{token.name}</b> <code>{token.kind}</code>
          {token.role === null ? "" : ` · ${token.role}`} ·{" "}
          {token.environments === null ? "all environments" : token.environments.join(", ")}
          {token.current ? " · you are using it" : ""}
        </p>
        <p class="dim">
          created <Moment at={token.createdAt} nowMs={nowMs} /> by {token.createdBy}
          {token.expiresAt === null ? null : (
            <>
              {" "}
              · expires <Moment at={token.expiresAt} nowMs={nowMs} />
            </>
          )}
          {token.revokedAt === null ? null : (
            <>
              {" "}
              · revoked <Moment at={token.revokedAt} nowMs={nowMs} />
            </>
          )}
        </p>
      </div>
      {over || token.current ? null : (
        <form method="post" action={`${base}/${token.id}/revoke`}>
          <button class="danger" aria-label={`Revoke ${token.name}`}>
            Revoke
          </button>
        </form>
      )}
    </li>
  );
}
