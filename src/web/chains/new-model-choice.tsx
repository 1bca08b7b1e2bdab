/** Beside a model name that looks like a slip: the way to say that it is none. */
import { Checkbox, CONFIRM_LABELS } from "../form/parts.tsx";

export function NewModelChoice() {
  return <Checkbox name="newModel" label={CONFIRM_LABELS.newModel} checked={false} />;
}
