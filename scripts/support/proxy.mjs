// An HTTP proxy that knows where some names are, for applications that reach nothing but through it.
import { createServer } from "node:http";
import { connect } from "node:net";

/** Starts it on a free port of 127.0.0.1. `addresses`: by the name of a host, the URL of a local server. */
export async function startProxy(addresses) {
  const server = createServer((_request, response) => void response.writeHead(501).end());
  server.on("connect", (request, socket) => {
    const address = addresses[request.url.split(":")[0]];
    if (address === undefined) return void socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    const { hostname, port } = new URL(address);
    const upstream = connect(port, hostname, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(upstream).pipe(socket);
    });
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}
