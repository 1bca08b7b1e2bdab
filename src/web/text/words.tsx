/** The words of what holds, on a page: times local, names in bold, models in monospace. */
import type { Word } from "../../domain/standing-words.ts";
import { Moment } from "../shell/moment.tsx";

export function Words({ words, nowMs, exact = false }: { words: readonly Word[]; nowMs: number; exact?: boolean }) {
  return (
    <>
      {words.map((word) => {
        if (typeof word === "string") return word;
        switch (word.type) {
          case "at":
            return <Moment at={word.at} nowMs={nowMs} exact={exact} />;
          case "and":
            return " · ";
          case "reason":
            return ` — ${word.reason}`;
          case "budget":
            return <b>{word.name}</b>;
          case "model":
            return <code>{word.model}</code>;
          case "until":
            return (
              <>
                {" · until "}
                <Moment at={word.at} nowMs={nowMs} />
              </>
            );
        }
      })}
    </>
  );
}
