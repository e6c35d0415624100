// Starts omniboard for every collection of SEML runs in the database, each at the path /COLLECTION.
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
  const names = [];
  for (const { name } of await connection.db.listCollections().toArray()) {
    const first = await connection.db.collection(name).findOne({}, { projection: { "seml.executable": 1 } });
    if (first?.seml) names.push(name);
  }
  await connection.close();
  return names.sort();
}

async function main() {
  let collections = await collectionsOfRuns();
  while (!collections.length) {
    console.log("The database has no runs yet; add runs with SEML. Checking again in 30 seconds.");
    await sleep(30_000);
    collections = await collectionsOfRuns();
  }
  mongoose.pluralize(null); // else mongoose would use the collection "table1_mnists" for "table1_mnist"
  process.argv.push("-u", `${USER}:${SEML_PASSWORD}:${randomBytes(24).toString("hex")}`);
  process.env.OMNIBOARD_CONFIG = __filename; // omniboard reads its sections from the exports of this module
  module.exports = Object.fromEntries(
    collections.map((name) => [name, { mongodbURI, path: `/${name}`, runsCollectionName: name }]),
  );
  require("omniboard/dist/index.js");
}

main().catch((error) => {
  console.error(`omniboard: ${error.message}`);
  process.exit(1);
});
