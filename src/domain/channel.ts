/** Where alerts go: the kinds of receivers, and how many an environment may have. */

export const CHANNEL_KINDS = ["slack", "webhook"] as const;
export type ChannelKind = (typeof CHANNEL_KINDS)[number];

export const MAX_CHANNELS_PER_ENVIRONMENT = 20;
