"use strict";
// Ranking of noise points or networks: a table with a bar for each interval on a logarithmic axis.

/** Show a ranking: its sentences, and its rows in the order of the data. */
function showRanking(ranking) {
  const sentences = element("ul", { class: "sentences answers" }, ...ranking.sentences.map((text) => element("li", {}, text)));
  document.getElementById("ranking-sentences").replaceChildren(sentences);
  document.getElementById("ranking").replaceChildren(rankingTable(ranking));
}

function rankingTable(ranking) {
  const ends = ranking.rows.flatMap(([, midpoints]) => midpoints.flatMap(([value, low, high]) => [value, low, high])).filter((end) => end > 0);
  const span = Math.max(Math.log10(Math.max(...ends) / Math.min(...ends)), 0.3) * 0.04;
  const low = Math.min(...ends) / 10 ** span, high = Math.max(...ends) * 10 ** span;
  const place = (level) => (100 * Math.log10(level / low)) / Math.log10(high / low);
  const ticks = ends.length ? logTicks(low, high, 7) : [];
  const marks = ticks.map((tick) => element("span", { class: "tick", style: `left:${place(tick)}%` }));
  const keys = ranking.trainings.map((name, number) =>
    element("th", { scope: "col" }, element("span", { class: "key" + (number % 2 ? " square" : ""), style: `border-color:var(--c${number % 7})` }), name));
  const axis = element("div", { class: "axis", "aria-hidden": "true" });
  tickTexts(ticks).forEach((text, number) => axis.append(element("span", { style: `left:${place(ticks[number])}%` }, text)));
  const candidates = ranking.trainings.map((_, number) => ranking.rows.filter(([, midpoints]) => midpoints[number][4]).length);
  const rows = ranking.rows.map(([name, midpoints]) => {
    const track = element("div", { class: "track", "aria-hidden": "true" }, ...marks.map((mark) => mark.cloneNode()));
    midpoints.forEach((midpoint, number) => track.append(...midpointMarks(midpoint, number, midpoints.length, place)));
    return element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "bars" }, track), ...midpoints.map((midpoint, number) => midpointCell(midpoint, candidates[number])));
  });
  return element("table", { class: "ranking" + (keys.length > 2 ? " many" : ""), id: "ranking-table" },
    element("thead", {}, element("tr", {}, element("td", {}), element("th", { class: "bars", scope: "col" }, ranking.axis), ...keys)),
    element("tbody", {}, ...rows),
    element("tfoot", {}, element("tr", {}, element("td", {}), element("td", { class: "bars" }, axis), ...keys.map(() => element("td", {})))));
}

function midpointMarks([value, low, high, , weak], number, count, place) {
  if (value === null) return [];
  const top = `top:${50 + (count > 1 ? (number - (count - 1) / 2) * 36 : 0)}%`, shade = `var(--c${number % 7})`;
  const dot = element("span", { class: "dot" + (number % 2 ? " square" : ""), style: `left:${place(value)}%;${top};border-color:${shade};${weak ? `background:${shade}` : ""}` });
  if (low === null) return [dot];
  return [element("span", { class: "bar", style: `left:${place(low)}%;width:${place(high) - place(low)}%;${top};color:${shade}` }), dot];
}

/** Cell of a midpoint. `candidates` is the number of rows that may be the weakest. */
function midpointCell([, , , , weak, text], candidates) {
  const [number, ...interval] = text.split(" [");
  const cell = element("td", { class: weak ? "weak" : "" }, number);
  if (interval.length) cell.append(element("span", { class: "interval" }, " [" + interval[0]));
  if (weak) cell.append(" ", element("span", { class: "badge" }, candidates > 1 ? "may be weakest" : "weakest"));
  return cell;
}
