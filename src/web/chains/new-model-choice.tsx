/** Beside a model name that looks like a slip: the way to say that it is none. */
import { Checkbox } from "../form/parts.tsx";

export function NewModelChoice() {
  return <Checkbox name="newModel" label="The name is right: it is a new model" checked={false} />;
}
