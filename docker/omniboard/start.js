// Starts omniboard on every collection of runs that SEML keeps in the database, at /COLLECTION each.
"use strict";

const { randomBytes } = require("node:crypto");
const { setTimeout: sleep } = require("node:timers/promises");
const mongoose = require("mongoose");

const USER = "walking_noise";
const { MONGODB, SEML_PASSWORD } = process.env;
const mongodbURI = MONGODB.replace("://", `://${USER}:${encodeURIComponent(SEML_PASSWORD)}@`);

async function collectionsOfRuns() {
  const connection = await mongoose.createConnection(mongodbURI, {
    useNewUrlParser: true,
    useUnifiedTopology: true,
  });
  const found = [];
  for (const { name } of await connection.db.listCollections().toArray()) {
    const first = await connection.db.collection(name).findOne({}, { projection: { "seml.executable": 1 } });
    if (first?.seml) found.push(name);
  }
  await connection.close();
  return found.sort();
}

async function main() {
  let collections = await collectionsOfRuns();
  while (!collections.length) {
    console.log("No runs yet; add some with SEML. Looking again in 30 seconds.");
    await sleep(30_000);
    collections = await collectionsOfRuns();
  }
  mongoose.pluralize(null); // else it would look for the collection "table1_mnists"
  process.argv.push("-u", `${USER}:${SEML_PASSWORD}:${randomBytes(24).toString("hex")}`);
  process.env.OMNIBOARD_CONFIG = __filename; // it takes its sections from what this module exports
  module.exports = Object.fromEntries(
    collections.map((name) => [name, { mongodbURI, path: `/${name}`, runsCollectionName: name }]),
  );
  require("omniboard/dist/index.js");
}

main().catch((error) => {
  console.error(`omniboard: ${error.message}`);
  process.exit(1);
});
