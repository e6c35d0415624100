// Runs once, when the volume is created. It creates the user of SEML, who can read and write this database only, and the
// indexes of the history of runs (experiments/database/indexes.py). `walking-noise doctor --fix` creates the indexes of a
// collection of runs.
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
