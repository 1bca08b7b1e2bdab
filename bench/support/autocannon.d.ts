/** The part of autocannon 9 that the bench uses; the package brings no types. */
declare module "autocannon" {
  interface Options {
    url: string;
    connections: number;
    /** Seconds. */
    duration: number;
    /** Sent in turn by every connection. */
    requests: { method: "GET"; path: string; headers: Record<string, string> }[];
  }
  interface Result {
    /** Requests per second, over samples of one second. */
    requests: { average: number; total: number };
    /** Milliseconds between the first and the last request, as seconds. */
    duration: number;
    errors: number;
    timeouts: number;
    statusCodeStats: Record<string, { count: number }>;
  }
  export default function autocannon(options: Options): Promise<Result>;
}
