"use strict";
// Start of the page: reads the data, and fills the parts that depend on them.

/** Content of a gzipped JSON text in base64. */
async function decompressed(text) {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

/** Give cells that begin with a number this number as their sort key, as far as they have none. */
function addSortKeys(table) {
  for (const row of table.tBodies[0].rows)
    for (const cell of row.cells) {
      const number = /^[≥≤]?\s*(-?\d[\d,]*\.?\d*(?:e-?\d+)?)/.exec(cell.textContent);
      if (number && cell.dataset.sort === undefined) cell.dataset.sort = number[1].replaceAll(",", "");
    }
}

/** Fill a table of which the page shows the first rows with all of them, and make it sortable. */
function showAllRows(button, rows) {
  const table = document.getElementById("table-" + button.dataset.table);
  table.tBodies[0].replaceChildren(...rows.map((cells) => element("tr", {}, ...cells.map((text) => element("td", {}, text)))));
  table.classList.add("sortable", "asc", "n-last");
  addSortKeys(table);
  enhanceSortableAccessibility([table]);
  button.parentElement.remove();
}

async function main() {
  const data = await decompressed(document.getElementById("data").textContent.trim());
  document.querySelectorAll("table.sortable").forEach((table) => table.tBodies.length && addSortKeys(table));
  if (data.rankings.length) {
    const choice = document.getElementById("ranking-choice");
    choice.addEventListener("change", () => showRanking(data.rankings[choice.value]));
    showRanking(data.rankings[0]);
  }
  if (data.series) {
    showSeries(data.series, data.first);
    enhanceSortableAccessibility([document.getElementById("series-table")]);
  }
  for (const button of document.querySelectorAll("button[data-table]"))
    button.addEventListener("click", () => showAllRows(button, data.tables[button.dataset.table]));
  addEventListener("beforeprint", () => document.querySelectorAll("#curve details").forEach((each) => (each.open = true)));
  document.documentElement.dataset.ready = "true";
}

main();
