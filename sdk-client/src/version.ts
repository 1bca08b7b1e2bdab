/** What this client calls itself in `Andon-SDK`; a test holds it to the package's version. */
export const SDK_VERSION = "0.1.0";
export const SDK_NAME = `andon-client-js/${SDK_VERSION}`;
