// A real SMTP server on loopback that keeps what it accepts, parsed, and can be told to misbehave to a recipient.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";

const certificate = (name) => fileURLToPath(new URL(`certificates/${name}`, import.meta.url));

/** Who signed the server's certificate. */
export const AUTHORITY = certificate("ca.pem");
export const LOGIN = { user: "reports", password: "correct horse" };

const refusal = (code, says) => Object.assign(new Error(says), { responseCode: code });

/**
 * Starts it. `secure` speaks TLS from the first byte, `login` wants LOGIN. `misbehave` maps an address to what happens to its next mails:
 * `[450]`, `[550]`, `[421]` at RCPT, `["drop"]` in the middle of the message, `["hang"]` after it; a list is used up, then mails are accepted.
 */
export async function openMailbox({ secure = false, login = false, misbehave = {} } = {}) {
  const box = { mails: [], attempts: {}, connections: 0 };
  const server = new SMTPServer({
    secure, key: readFileSync(certificate("localhost.key")), cert: readFileSync(certificate("localhost.pem")),
    authOptional: !login, disabledCommands: login ? [] : ["AUTH"], logger: false, closeTimeout: 100,
    onConnect(_session, done) { box.connections++; done(); },
    onAuth({ username, password }, _session, done) {
      username === LOGIN.user && password === LOGIN.password ? done(null, { user: username }) : done(refusal(535, "wrong user or password"));
    },
    onRcptTo({ address }, _session, done) {
      box.attempts[address] = (box.attempts[address] ?? 0) + 1;
      const next = misbehave[address]?.[0];
      if (typeof next !== "number") return done();
      misbehave[address].shift();
      done(refusal(next, { 421: "closing down", 450: "greylisted", 550: "no such mailbox" }[next]));
      if (next === 421) setImmediate(() => socketOf(_session)?.destroy());
    },
    onData(stream, session, done) {
      const [{ address }] = session.envelope.rcptTo;
      const next = misbehave[address]?.shift();
      const parts = [];
      stream.on("data", (part) => {
        parts.push(part);
        if (next === "drop") socketOf(session)?.destroy();
      });
      stream.on("end", async () => {
        if (next === "drop" || next === "hang") return;
        const raw = Buffer.concat(parts);
        box.mails.push({ ...(await simpleParser(raw, { skipImageLinks: true })), recipient: address, raw });
        done(null, "taken");
      });
      stream.on("error", () => {});
    },
  });
  const socketOf = (session) => [...server.connections].find((connection) => connection.session === session || connection.id === session.id)?._socket;
  server.on("error", () => {});
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  box.port = server.server.address().port;
  box.to = (address) => box.mails.filter((mail) => mail.recipient === address);
  /** Ends every connection without a word. */
  box.hangUp = () => {
    for (const connection of server.connections) connection._socket?.destroy();
  };
  box.close = () => new Promise((resolve) => {
    box.hangUp();
    server.close(resolve);
  });
  /** The centre's settings to send here. */
  box.environment = {
    UD_MAIL_TRANSPORT: "smtp", UD_MAIL_FROM: "Звіти <reports@shop.example>", UD_SMTP_HOST: "localhost", UD_SMTP_PORT: String(box.port),
    UD_SMTP_SECURITY: secure ? "tls" : "none", UD_SMTP_TIMEOUT_SECONDS: "1", UD_PUBLIC_URL: "https://utm.shop.example",
  };
  return box;
}
