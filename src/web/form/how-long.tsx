/** "For how long": a change that ends by itself. The choice is a few durations, so that no clock needs to be read. */
import { Select } from "./parts.tsx";
import type { Form } from "../shell/page-context.ts";

const MINUTE_MS = 60_000;
const CHOICES = [
  { value: "", label: "Until someone ends it" },
  { value: "30", label: "30 minutes" },
  { value: "60", label: "1 hour" },
  { value: "240", label: "4 hours" },
  { value: "1440", label: "24 hours" },
] as const;

export function HowLong({ value }: { value: string }) {
  return <Select name="minutes" label="For how long" value={value} options={CHOICES} errors={new Map()} />;
}

/** The end that a form asks for; null for none. */
export function untilOf(form: Form, nowMs: number): Date | null {
  const choice = CHOICES.find((one) => one.value === form.text("minutes"));
  return choice === undefined || choice.value === "" ? null : new Date(nowMs + Number(choice.value) * MINUTE_MS);
}
