// Run once, when the volume is made: SEML's user, who may read and write this database and no other, and the indexes
// of the runs' history (experiments/database/indexes.py). A collection of runs gets its own by `walking-noise doctor --fix`.
const INDEXES = {
  "walking_noise.workers": [["collection"]],
  "walking_noise.attempts": [["collection", "run"]]
};

db.createUser({
  user: "walking_noise",
  pwd: process.env.SEML_PASSWORD,
  roles: [{ role: "readWrite", db: db.getName() }]
});
for (const [collection, indexes] of Object.entries(INDEXES)) {
  for (const fields of indexes) {
    db.getCollection(collection).createIndex(Object.fromEntries(fields.map((field) => [field, 1])));
  }
}
