/** NOTIFY carries the id of an environment whose state changed. A lost one is healed by the version check. */
export const NOTIFY_CHANNEL = "andon_environment";

export interface Listening {
  /** Called with the id of the changed environment. */
  onNotify: (environmentId: string) => void;
  /** Called whenever listening began (again): what was notified before is lost. */
  onListening: () => void;
}

export interface Listener {
  close(): Promise<void>;
}
