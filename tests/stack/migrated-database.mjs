// Makes a database of its own on the server that UD_TEST_DATABASE_URL names, applies migrations/ to it in order and prints its URL.
// For tools that must ask a database about queries before a central-api that knows the newest migrations can be built.
import { readFileSync, readdirSync } from "node:fs";

import pg from "pg";

const url = new URL(process.env.UD_TEST_DATABASE_URL);
const name = `ud_sqlx_${process.pid}`;
await on(url, (admin) => admin.query(`create database ${name}`));
url.pathname = `/${name}`;
await on(url, async (database) => {
  const folder = new URL("../../migrations/", import.meta.url);
  for (const file of readdirSync(folder).filter((one) => one.endsWith(".sql")).sort()) {
    try {
      await database.query(readFileSync(new URL(file, folder), "utf8"));
    } catch (error) {
      throw new Error(`migrations/${file}: ${error.message}`);
    }
  }
});
console.log(url.href);

async function on(connection, work) {
  const client = new pg.Client({ connectionString: connection.href });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
