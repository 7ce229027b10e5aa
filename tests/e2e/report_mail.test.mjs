// Reports by e-mail as they arrive: every figure against the API, attachments byte by byte, both languages, servers that misbehave,
// and the worker's cron.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { CENTRAL_API, startCentre } from "../stack/centre.mjs";
import { freePort } from "../stack/process.mjs";
import { post } from "./batch.mjs";
import { install, SITE } from "./installation.mjs";
import { AUTHORITY, LOGIN, openMailbox } from "./mailbox.mjs";

const misbehave = {
  "grey@x.example": [450], "gone@x.example": [550], "busy@x.example": [421], "drop@x.example": ["drop"], "hang@x.example": ["hang"],
};
let it, box;
before(async () => {
  box = await openMailbox({ misbehave });
  // Nothing but the worker's cron sends here.
  it = await install({ environment: { ...box.environment, UD_RUN_JOBS: "false" } });
  await command(["demo-data", "--sessions", "3000", "--days", "60"]);
});
after(async () => {
  await it?.remove();
  await box?.close();
});

/** A command beside this process, so that the mailbox here can answer it. */
async function command(args, { environment = {}, input = "" } = {}) {
  const child = spawn(CENTRAL_API, args, { env: { ...process.env, ...it.env, ...environment } });
  let stdout = "", stderr = "";
  child.stdout.on("data", (part) => (stdout += part));
  child.stderr.on("data", (part) => (stderr += part));
  // A command that asks nothing may be gone before it is answered.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [status] = await new Promise((resolve) => child.on("close", (...how) => resolve(how)));
  return { status, stdout, stderr };
}

const download = async (path) => Buffer.from(await (await fetch(`${it.centre.url}${path}`, { headers: { authorization: `Bearer ${it.keys.read}` } })).arrayBuffer());

/** Numbers as people write them, by the rules of the platform and not of the code under test. */
function style(language) {
  const locale = { uk: "uk-UA", en: "en-US" }[language];
  const number = (value, digits) => new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: "always" }).format(Math.abs(value)).replace(/\s/g, "\u00a0");
  const signed = (value, digits) => (value < 0 ? "−" : "") + number(value, digits);
  return {
    count: (value) => (value === null ? "–" : signed(value, 0)),
    ratio: (value) => (value === null ? "–" : signed(value, 2)),
    percent: (value) => (value === null ? "–" : `${signed(value, 2)}\u00a0%`),
    money: (value) => (value === null ? "–" : language === "en" ? `${value < 0 ? "−" : ""}₴${number(value, 2)}` : `${signed(value, 2)}\u00a0₴`),
    seconds: (value) => {
      if (value === null) return "–";
      const whole = Math.round(value);
      const [minute, second] = language === "en" ? ["min", "s"] : ["хв", "с"];
      return `${number(Math.trunc(whole / 60), 0)}\u00a0${minute} ${whole % 60}\u00a0${second}`;
    },
    change: (value) => (value === null ? "–" : `${value > 0 ? "+" : ""}${signed(value, 1)}\u00a0%`),
  };
}

const UNITS = {
  total_sessions: "count", unique_visitors: "count", total_visits: "count", total_conversions: "count", conversion_rate: "percent",
  total_revenue: "money", avg_order_value: "money", revenue_per_session: "money", orders: "count", leads: "count", purchases: "count",
  total_score: "count", avg_score_per_session: "ratio", bounce_rate: "percent", avg_session_duration: "seconds", page_views: "count",
  pages_per_session: "ratio", registrations: "count",
};

for (const [language, subject] of [["uk", /^UTM Аналітика — звіт за місяць \(\d\d\.\d\d(\.\d{4})?–\d\d\.\d\d\.\d{4}\)$/], ["en", /^UTM Analytics — monthly report \(.+–.+ \d{4}\)$/]]) {
  test(`a report in ${language} says what the API says, in HTML and in text, with the tables as they are exported`, async () => {
    const to = `${language}@shop.example`;
    const sent = await command(["send-report", "--period", "month", "--recipients", to, "--attach-csv", "--lang", language]);
    assert.equal(sent.status, 0, sent.stderr);
    const [mail] = box.to(to);
    assert.match(mail.subject, subject);
    assert.equal(mail.from.text, '"Звіти" <reports@shop.example>'.replaceAll('"', mail.from.text.includes('"') ? '"' : ""));
    const s = style(language);
    const has = (what, ...values) => {
      for (const value of values) {
        assert.ok(mail.html.includes(value), `${what}: ${value} is not in the HTML`);
        assert.ok(mail.text.includes(value), `${what}: ${value} is not in the text\n${mail.text}`);
      }
    };
    const compare = await it.api("/api/utm/compare?period=month");
    assert.ok(compare.current.total_sessions > 500, "there is something to compare");
    assert.equal(Object.keys(compare.current).length, Object.keys(UNITS).length);
    for (const [name, unit] of Object.entries(UNITS)) {
      has(name, s[unit](compare.current[name]), s[unit](compare.previous[name]), s.change(compare.change[name].percent));
    }
    const { sources } = await it.api("/api/utm/sources?period=month&limit=5");
    assert.equal(sources.length, 5);
    for (const row of sources) has(row.utm_source, row.utm_source ?? { uk: "(не вказано)", en: "(not set)" }[language], s.count(row.sessions), s.percent(row.conversion_rate), s.count(row.orders), s.money(row.revenue));
    const { ltv_comparison } = await it.api("/api/utm/ltv-comparison?period=month&limit=5");
    for (const row of ltv_comparison) has(row.utm_source, row.utm_source ?? { uk: "(не вказано)", en: "(not set)" }[language], s.money(row.ltv_per_session), s.money(row.max_cpa), s.count(row.total_sessions));
    const { stages } = await it.api("/api/utm/funnel?period=month");
    for (const stage of stages) has(stage.key, stage.label[language], s.count(stage.sessions), s.percent(stage.rate));
    const repeat = await it.api("/api/utm/repeat-rate?period=month");
    has("repeat", s.percent(repeat.repeat_rate), s.count(repeat.repeat_customers), s.count(repeat.one_time_customers), s.count(repeat.total_customers), s.ratio(repeat.avg_orders_per_customer), s.ratio(repeat.avg_time_between_orders));
    const { coverage } = await it.api("/api/utm/general-stats?period=month");
    has("coverage", s.count(coverage.orders), `${s.count(coverage.linked)} (${s.percent(coverage.linked_percent)})`, s.count(coverage.unlinked));

    const attached = Object.fromEntries(mail.attachments.map((file) => [file.filename, file]));
    assert.deepEqual(Object.keys(attached).sort(), ["trend.png", "utm_campaigns.csv", "utm_sources.csv"]);
    for (const type of ["sources", "campaigns"]) {
      const exported = await download(`/api/utm/export-csv?type=${type}&period=month&locale=${language}`);
      assert.deepEqual(attached[`utm_${type}.csv`].content.subarray(0, 3), Buffer.from("efbbbf", "hex"), "byte order mark");
      assert.ok(attached[`utm_${type}.csv`].content.equals(exported), `${type}: byte by byte`);
    }
    assert.equal(attached["trend.png"].contentType, "image/png");
    assert.ok(mail.html.includes(`cid:${attached["trend.png"].cid}`), "the picture is in the mail");
    assert.match(mail.html, /<img [^>]*alt="[^"]{10,}"/);
    assert.doesNotMatch(mail.html, /(src|background)="?https?:/, "nothing is fetched from elsewhere");
    assert.match(mail.html, /href="https:\/\/utm\.shop\.example\/\?site=e2e&(amp;|#38;)start_date=/);
    assert.equal(mail.headers.get("auto-submitted"), "auto-generated");
  });
}

test("what a server accepted is not sent again, what it did not is, and what nobody knows waits for a person; the worker's cron asks", async () => {
  const people = ["ok@x.example", ...Object.keys(misbehave)];
  const made = await command(["schedule", "add", "--frequency", "daily", "--recipients", people.join(","), "--lang", "en", "--name", "Every day"]);
  assert.equal(made.status, 0, made.stderr);
  // As if it had been made yesterday: today's slot, or yesterday's in the night, is due.
  await it.rows("update report_schedules set due_after = now() - interval '20 hours', hour = extract(hour from now() at time zone time_zone)::smallint");
  await it.cron();
  const states = async () => Object.fromEntries((await it.rows("select address, state from report_deliveries where run_id = (select max(run_id) from report_runs)")).map((row) => [row.address, row.state]));
  const first = await it.eventually("everybody was tried", async () => {
    const now = await states();
    return Object.keys(now).length === people.length && !Object.values(now).includes("sending") && now["ok@x.example"] === "sent" && now["hang@x.example"] !== "pending" && now;
  }, 40_000);
  assert.deepEqual(first, {
    "ok@x.example": "sent", "grey@x.example": "pending", "busy@x.example": "pending", "drop@x.example": "pending", "gone@x.example": "failed", "hang@x.example": "uncertain",
  });
  const details = Object.fromEntries((await it.rows("select address, detail from report_deliveries")).map((row) => [row.address, row.detail]));
  assert.match(details["gone@x.example"], /550.*no such mailbox|no such mailbox/);
  assert.match(details["grey@x.example"], /greylisted/);
  assert.match(details["ok@x.example"], /^250/);

  await it.cron();
  await it.rows("update report_deliveries set try_after = now() where state = 'pending'");
  await it.eventually("the run is at rest", async () => Number((await it.rows("select count(*) as n from pg_locks join pg_database on oid = database where locktype = 'advisory' and datname = current_database()"))[0].n) === 0);
  await it.rows("update report_runs set try_after = now() where finished_at is null");
  await it.cron();
  const last = await it.eventually("nothing waits", async () => {
    const now = await states();
    return !Object.values(now).some((state) => state === "pending" || state === "sending") && now;
  });
  assert.deepEqual(last, {
    "ok@x.example": "sent", "grey@x.example": "sent", "busy@x.example": "sent", "drop@x.example": "sent", "gone@x.example": "failed", "hang@x.example": "uncertain",
  });
  await it.cron();
  for (const who of ["ok", "grey", "busy", "drop"]) assert.equal(box.to(`${who}@x.example`).length, 1, who);
  assert.deepEqual(box.attempts, { ...box.attempts, "ok@x.example": 1, "grey@x.example": 2, "busy@x.example": 2, "drop@x.example": 2, "gone@x.example": 1, "hang@x.example": 1 });
  const [mail] = box.to("ok@x.example");
  assert.match(mail.subject, /^UTM Analytics — daily report \(/);
  assert.match(mail.headers.get("list").unsubscribe.url, /^https:\/\/utm\.shop\.example\/unsubscribe\/\d+\/[0-9a-f]{32}$/);
  assert.equal(mail.headers.get("list")["unsubscribe-post"].name ?? mail.headers.get("list")["unsubscribe-post"].id ?? "List-Unsubscribe=One-Click", "List-Unsubscribe=One-Click");
  const ids = ["ok", "grey"].map((who) => box.to(`${who}@x.example`)[0].messageId);
  assert.notEqual(ids[0], ids[1]);
  const [{ n }] = await it.rows("select count(*) as n from report_runs where kind = 'scheduled'");
  assert.equal(Number(n), 1);
});

test("a mail server that hangs in one report holds up no other", async () => {
  // A server may be silent for ten minutes after a message, so that nothing here waits for a time to pass.
  const second = await startCentre({ env: { ...it.env, UD_SMTP_TIMEOUT_SECONDS: "60" }, port: await freePort(), log: `${it.folder}/patient.log` });
  const state = async (address) => (await it.rows(`select state from report_deliveries where address = '${address}'`))[0]?.state;
  const due = async (name, address) => {
    const made = await command(["schedule", "add", "--frequency", "daily", "--recipients", address, "--name", name]);
    assert.equal(made.status, 0, made.stderr);
    await it.rows(`update report_schedules set due_after = now() - interval '20 hours', hour = extract(hour from now() at time zone time_zone)::smallint where name = '${name}'`);
    await post(`${second.url}/internal/cron`, it.keys.ingest, JSON.stringify({ scheduled_time: Date.now(), cron: "0 * * * *" }));
  };
  try {
    misbehave["stuck@x.example"] = ["hang"];
    await due("Stuck", "stuck@x.example");
    await it.eventually("the first is stuck", async () => box.attempts["stuck@x.example"] === 1 && (await state("stuck@x.example")) === "sending");
    await due("Free", "free@x.example");
    await it.eventually("the second arrives", async () => (await state("free@x.example")) === "sent");
    assert.equal(await state("stuck@x.example"), "sending");
    assert.equal(box.to("free@x.example").length, 1);
  } finally {
    box.hangUp();
    await second.stop();
  }
});

test("two processes asked fifty times send one mail", async () => {
  const second = await startCentre({ env: it.env, port: await freePort(), log: `${it.folder}/second.log` });
  try {
    await command(["schedule", "add", "--frequency", "daily", "--recipients", "once@x.example,twice@x.example", "--name", "Once"]);
    await it.rows("update report_schedules set due_after = now() - interval '20 hours', hour = extract(hour from now() at time zone time_zone)::smallint where name = 'Once'");
    const body = JSON.stringify({ scheduled_time: Date.now(), cron: "0 * * * *" });
    const asked = await Promise.all(Array.from({ length: 50 }, (_, n) => post(`${n % 2 ? second.url : it.centre.url}/internal/cron`, it.keys.ingest, body).then((answer) => answer.json())));
    assert.equal(asked.reduce((sum, answer) => sum + answer.reports, 0), 1);
    await it.eventually("both arrived", async () => box.to("once@x.example").length && box.to("twice@x.example").length);
    await it.eventually("the run is over", async () => (await it.rows("select 1 from report_runs r join report_schedules s using (schedule_id) where s.name = 'Once' and finished_at is not null")).length === 1);
    assert.deepEqual([box.to("once@x.example").length, box.to("twice@x.example").length], [1, 1]);
  } finally {
    await second.stop();
  }
});

test("a server that encrypts and wants a login is used, and what is wrong is said", async () => {
  for (const secure of [true, false]) {
    const vault = await openMailbox({ secure, login: true });
    try {
      const environment = { ...vault.environment, UD_SMTP_SECURITY: secure ? "tls" : "starttls", UD_SMTP_CA_FILE: AUTHORITY, UD_SMTP_USER: LOGIN.user, UD_SMTP_PASSWORD: LOGIN.password };
      const doctor = await command(["doctor", "--mail"], { environment });
      assert.match(doctor.stdout, /ok +mail server: SMTP server localhost:\d+ takes mails\./);
      const sent = await command(["send-report", "--period", "today", "--recipients", "safe@x.example", "--format", "text"], { environment });
      assert.equal(sent.status, 0, sent.stderr);
      assert.equal(vault.to("safe@x.example").length, 1);
      assert.equal(vault.to("safe@x.example")[0].html, false);
      const wrong = await command(["doctor", "--mail"], { environment: { ...environment, UD_SMTP_PASSWORD: "hunter2" } });
      assert.equal(wrong.status, 1);
      assert.match(wrong.stdout, /PROBLEM mail server: .*wrong user or password/);
      assert.doesNotMatch(wrong.stdout + wrong.stderr, /hunter2/);
      const untrusted = await command(["send-report", "--period", "today", "--recipients", "safe@x.example"], { environment: { ...environment, UD_SMTP_CA_FILE: "" } });
      assert.equal(untrusted.status, 1);
      assert.match(untrusted.stdout, /certificate/i);
    } finally {
      await vault.close();
    }
  }
});

test("arguments that are wrong are named with exit code 2, and a dry run sends nothing", async () => {
  for (const [args, says] of [
    [["send-report", "--recipients", "ann@shop.example,bob"], /--recipients: bob is not an e-mail address/],
    [["send-report"], /no recipients: give --recipients, or make an admin/],
    [["send-report", "--period", "year"], /today, week, month, all_time/],
    [["schedule", "add", "--frequency", "weekly", "--weekday", "monday-ish", "--recipients", "a@x.example"], /--weekday: allowed are/],
    [["schedule", "add", "--frequency", "daily", "--hour", "25", "--recipients", "a@x.example"], /from 0 to 23/],
    [["setup-email-reports"], /give --recipients/],
  ]) {
    const refused = await command(args);
    assert.equal(refused.status, 2, `${args}: ${refused.stderr}`);
    assert.match(refused.stderr, says);
  }
  const before = box.mails.length;
  const dry = await command(["send-report", "--period", "week", "--recipients", "dry@x.example", "--attach-csv", "--dry-run"]);
  assert.equal(dry.status, 0, dry.stderr);
  assert.match(dry.stdout, /^Subject: UTM Аналітика — звіт за тиждень \(/);
  assert.match(dry.stdout, /Attached: utm_sources.csv, \d+ bytes/);
  assert.equal(box.mails.length, before);
  const nobody = await command(["send-report", "--recipients", "ann@shop.example"], { environment: { UD_SMTP_PORT: String(await freePort()) } });
  assert.equal(nobody.status, 1);
  assert.match(nobody.stdout, /waiting +ann@shop.example: .*refused/i);
});

test("the wizard takes answers from a person or as flags, and writes a schedule or a crontab line", async () => {
  const asked = await command(["setup-email-reports"], { input: "not an address\nteam@x.example\n3\ny\ny\n" });
  assert.equal(asked.status, 0, asked.stderr);
  assert.match(asked.stderr, /not an address is not an e-mail address/);
  assert.match(asked.stdout, /monthly on day 1 at 09:00 Europe\/Kyiv.*with CSV; to team@x\.example/);
  assert.equal(box.to("team@x.example").length, 1, "the test mail");
  const line = await command(["setup-email-reports", "--crontab", "--recipients", "team@x.example", "--frequency", "weekly", "--attach-csv", "--format", "text", "--install", "no", "--test", "no"], { input: "/etc/my shop.env\n" });
  assert.equal(line.status, 0, line.stderr);
  assert.match(line.stdout, new RegExp(`^0 9 \\* \\* 1 set -a; \\. '/etc/my shop\\.env'; set \\+a; \\S+central-api send-report --site ${SITE} --period week --recipients team@x.example --format text --attach-csv >> \\S+ 2>&1\\n$`));
  const filtered = await command(["setup-email-reports", "--crontab", "--recipients", "team@x.example", "--frequency", "weekly", "--filter", "utm_source=ig", "--install", "no", "--test", "no"]);
  assert.equal(filtered.status, 2);
  assert.match(filtered.stderr, /--filter: .*leave out --crontab/);
});

test("an agreed crontab line is installed once, keeps what was there, and sends the report when cron runs it", async () => {
  // As cron's own program does it: -l lists the table or fails without one, - takes a new one, whose last line must have an end.
  const table = join(it.folder, "table"), bin = join(it.folder, "bin"), log = join(it.folder, "cron.log"), envFile = join(it.folder, "service env");
  mkdirSync(bin);
  writeFileSync(join(bin, "crontab"), `#!/bin/sh
case "$1" in
  -l) cat '${table}' 2>/dev/null || { echo "no crontab for somebody" >&2; exit 1; } ;;
  -) cat > '${table}.new'; [ -z "$(tail -c 1 '${table}.new')" ] || { echo "new crontab file is missing newline before EOF" >&2; exit 1; }; mv '${table}.new' '${table}' ;;
  *) exit 2 ;;
esac
`, { mode: 0o755 });
  writeFileSync(envFile, Object.entries({ ...it.env }).map(([name, value]) => `${name}='${value}'\n`).join(""));
  const environment = { PATH: `${bin}:${process.env.PATH}` };
  const install = (...more) => command(["setup-email-reports", "--crontab", "--recipients", "cron@x.example", "--frequency", "daily", "--attach-csv", "--env-file", envFile, "--log", log, "--install", "yes", "--test", "no", ...more], { environment });

  const first = await install();
  assert.equal(first.status, 0, first.stderr);
  assert.equal(readFileSync(table, "utf8"), first.stdout, "where there was no table, it is the line alone");
  const others = "# mine\n5 4 * * * /usr/bin/backup";
  writeFileSync(table, others);
  assert.equal((await install()).status, 0);
  assert.equal(readFileSync(table, "utf8"), `${others}\n${first.stdout}`, "a table whose last line has no end is mended");
  assert.equal((await install()).status, 0);
  assert.equal(readFileSync(table, "utf8"), `${others}\n${first.stdout}`, "the same line a second time changes nothing");

  // As cron runs it: by sh, with next to nothing in the environment, an escaped percent sign being a percent sign.
  const line = readFileSync(table, "utf8").trimEnd().split("\n").at(-1).split(" ").slice(5).join(" ").replaceAll("\\%", "%");
  const ran = spawn("/bin/sh", ["-c", line], { env: { PATH: "/usr/bin:/bin", HOME: "/" }, stdio: "ignore" });
  const [status] = await new Promise((resolve) => ran.on("close", (...how) => resolve(how)));
  assert.equal(status, 0, readFileSync(log, "utf8"));
  assert.equal(box.to("cron@x.example").length, 1);
  assert.deepEqual(box.to("cron@x.example")[0].attachments.map((file) => file.filename).sort(), ["trend.png", "utm_campaigns.csv", "utm_sources.csv"]);
  assert.match(readFileSync(log, "utf8"), /cron@x\.example/);

  for (const [says, wanted] of [["no crontab for somebody", /crontab refused the line/], ["you are not allowed to use this program", /nothing was changed: you are not allowed/]]) {
    writeFileSync(join(bin, "crontab"), `#!/bin/sh\n[ "$1" = -l ] && { echo "${says}" >&2; exit 1; }\ncat > /dev/null\nexit 1\n`, { mode: 0o755 });
    const refused = await install();
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, wanted);
  }
  const missing = await command(["setup-email-reports", "--crontab", "--recipients", "cron@x.example", "--frequency", "daily", "--attach-csv", "--env-file", envFile, "--install", "yes", "--test", "no"], { environment: { PATH: it.folder } });
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /is cron installed\?/);
});
