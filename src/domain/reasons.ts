/** Reasons one tap (or one key) away. The same wherever a reason is asked. */
export const REASONS = ["Cost", "Bad answers", "Provider trouble", "Security", "Drill"] as const;
export const RESTORE_REASONS = ["Fixed", "False alarm", "Provider recovered", "Drill over"] as const;
