// The origin and the queue's broker of the edge benchmark: canned answers over plain sockets, so that they cost next to nothing.
// Prints its two ports as JSON once it listens. `GET /stats` on the broker's port tells how many messages and events came in.
import net from "node:net";

const PAGE = Buffer.alloc(8 * 1024, "<p>A page of the shop.</p>\n");
const answer = (type, body, extra = "") =>
  Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n${extra}\r\n`), body]);
const html = answer("text/html; charset=utf-8", PAGE, "Cache-Control: private, max-age=0\r\nSet-Cookie: shop=1; Path=/\r\n");
const asset = answer("text/css", PAGE, "Cache-Control: public, max-age=3600\r\n");
const taken = answer("application/json", Buffer.from('{"metadata":{"metrics":{"backlogCount":0,"backlogBytes":0}}}'));
const seen = { messages: 0, bytes: 0, events: 0 };

const shop = serve((head) => (head.includes(".css") ? asset : html));
const broker = serve((head, body) => {
  if (head.startsWith("GET /stats")) return answer("application/json", Buffer.from(JSON.stringify(seen)));
  seen.messages++;
  seen.bytes += body.length;
  seen.events += body.split('"action":').length - 1;
  return taken;
});
await Promise.all([shop, broker].map((server) => new Promise((up) => server.listen(0, "127.0.0.1", up))));
console.log(JSON.stringify({ origin: shop.address().port, broker: broker.address().port }));

/** A server for whole requests with or without Content-Length or chunks; nothing else comes from workerd and wrk. */
function serve(respond) {
  return net.createServer((socket) => {
    let text = "";
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      text += data.toString("latin1");
      for (;;) {
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) return;
        const head = text.slice(0, end);
        let next = end + 4;
        const length = /^content-length: (\d+)/im.exec(head);
        if (length) next += Number(length[1]);
        else if (/^transfer-encoding: chunked/im.test(head)) {
          const last = text.indexOf("0\r\n\r\n", next);
          if (last < 0) return;
          next = last + 5;
        }
        if (text.length < next) return;
        socket.write(respond(head, text.slice(end + 4, next)));
        text = text.slice(next);
      }
    });
  });
}
