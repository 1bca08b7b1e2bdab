/** Names that do not say their model, and the model behind each: listed, added, forgotten. */
import { Field, type FieldErrors, FormErrors, NO_ERRORS } from "../form/parts.tsx";
import { NewModelChoice } from "../chains/new-model-choice.tsx";
import type { Form } from "../shell/page-context.ts";

export interface AliasCardProps {
  /** Model by name. */
  aliases: Readonly<Record<string, string>>;
  admin: boolean;
  base: string;
  errors: FieldErrors;
  form: Form | undefined;
}

export function AliasCard({ aliases, admin, base, errors, form }: AliasCardProps) {
  const entries = Object.entries(aliases);
  if (entries.length === 0 && !admin) return null;
  const isOurs = errors.has("name") || errors.has("of");
  return (
    <section class="card stack" id="aliases">
      <h2>Names that do not say their model</h2>
      <p>
        An inference profile or a deployment may be any model. While a model is blocked, calls by a name that is not
        mapped are refused.
      </p>
      {entries.length === 0 ? null : (
        <ul class="list">
          {entries.map(([name, model]) => (
            <li class="entry">
              <p>
                <code>{name}</code> is <code>{model}</code>
              </p>
              {admin ? (
                <form method="post" action={`${base}/aliases`}>
                  <input type="hidden" name="name" value={name} />
                  <button name="do" value="forget" aria-label={`Forget ${name}`}>
                    Forget
                  </button>
                </form>
              ) : null}
            </li>
          ))}
        </ul>
      )}
      {admin ? (
        <form class="stack" method="post" action={`${base}/aliases`}>
          <FormErrors errors={isOurs ? errors : NO_ERRORS} fields={["name", "of"]} />
          <Field
            name="name"
            label="Name, as it is sent"
            value={form?.trimmed("name") ?? ""}
            errors={errors}
            mono
            required
          />
          <Field
            name="of"
            label="Its model"
            value={form?.trimmed("of") ?? ""}
            errors={errors}
            mono
            list="models"
            required
          />
          {errors.has("of") ? <NewModelChoice /> : null}
          <div>
            <button name="do" value="map">
              Map it
            </button>
          </div>
        </form>
      ) : null}
    </section>
  );
}
