/** NOTIFY carries `<environment id> <revision>` of a change, or a word of its own. A lost one is healed by the version check. */
export const NOTIFY_CHANNEL = "andon_environment";

export interface Listening {
  onNotify: (payload: string) => void;
  /** Called whenever listening began (again): what was notified before is lost. */
  onListening: () => void;
}

export interface Listener {
  close(): Promise<void>;
}
