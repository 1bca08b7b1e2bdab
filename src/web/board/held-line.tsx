/** Who refuses a flag by itself, whatever the switch says. */
import type { Fleet } from "../../domain/fleet.ts";
import { heldOff } from "../text/fleet.ts";

export function HeldLine({ fleet, flag }: { fleet: Fleet; flag: string }) {
  const words = heldOff(fleet, flag);
  return words === null ? null : <p class="lag">{words}</p>;
}
