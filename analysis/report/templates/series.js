"use strict";
// Table of all series with filters, and the panel with the curves of the chosen ones.

const MOST_CURVES = 7;
const SHOWN_COLUMNS = ["μ", "runs", "flags"];
const MOST_CHOICES = 80;

/** Make the table of series, its filters and the panel of curves. `first` is the number of the series that is open. */
function showSeries(series, first) {
  const table = document.getElementById("series-table");
  const shown = series.columns.filter((column, number) => number < series.settings || SHOWN_COLUMNS.includes(column.name));
  const text = (column, number) => column.values[column.index[number]];
  const words = series.titles.map((title, number) => [title, ...series.columns.map((column) => text(column, number))].join(" ").toLowerCase());
  let chosen = [];

  const escaped = (content) => content.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]);
  const details = { flags: /:[^;]*/g, runs: /[ ;]*\(.*/ };
  const brief = (column, number) => text(column, number).replace(details[column.name] ?? "", "");
  const key = (column, number) => (column.name === "μ" ? (series.mu[number][0] ?? "") : series.columns.indexOf(column) < series.settings ? column.index[number] : "");
  const cell = (column, number) => {
    const sorted = key(column, number);
    const attributes = (sorted === "" && column.name !== "μ" ? "" : ` data-sort="${sorted}"`) + (column.name === "μ" ? ' class="number"' : "");
    return `<td${attributes}>${escaped(brief(column, number))}</td>`;
  };
  const rows = series.titles.map((title, number) =>
    `<tr data-number="${number}"><td><input type="checkbox" aria-label="Curve of ${escaped(title)}"></td>${shown.map((column) => cell(column, number)).join("")}</tr>`);
  const headings = shown.map((column) => `<th scope="col">${escaped(column.name)}</th>`).join("");
  table.innerHTML = `<thead><tr><th scope="col" class="no-sort">curve</th>${headings}</tr></thead><tbody>${rows.join("")}</tbody>`;

  const rowOf = (number) => table.querySelector(`tr[data-number="${number}"]`);
  const choose = (numbers) => {
    const last = numbers.slice(-MOST_CURVES);
    for (const number of new Set([...chosen, ...last])) {
      rowOf(number).classList.toggle("open", last.includes(number));
      rowOf(number).querySelector("input").checked = last.includes(number);
    }
    chosen = last;
    showCurves(series, chosen);
  };
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    if (!row) return;
    const number = Number(row.dataset.number);
    if (event.target.tagName !== "INPUT") choose([number]);
    else choose(event.target.checked ? [...chosen, number] : chosen.filter((each) => each !== number));
  });
  document.getElementById("curve-clear").addEventListener("click", () => choose(chosen.slice(-1)));
  document.getElementById("curve-scale").addEventListener("change", () => showCurves(series, chosen));
  const redraw = () => {
    placeCurve(table);
    showCurves(series, chosen);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let timer;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(redraw, 150); });

  addFilters(series, table, words);
  placeCurve(table);
  choose([first]);
  table.parentElement.scrollTop = rowOf(first).offsetTop - table.tHead.offsetHeight;
}

/** Place the curve beside the table, or above it if the table needs the whole width. */
function placeCurve(table) {
  const explorer = table.closest(".explorer");
  explorer.classList.remove("wide");
  explorer.classList.toggle("wide", table.scrollWidth > table.parentElement.clientWidth);
}

/** Add a choice for each setting, and hide the rows that do not match the choices and the words. */
function addFilters(series, table, words) {
  const choices = series.columns.slice(0, series.settings).filter((column) => column.values.length > 1 && column.values.length <= MOST_CHOICES);
  const selects = choices.map((column) => element("select", { "aria-label": column.name }, element("option", { value: "" }, "all"), ...column.values.map((value, number) => element("option", { value: number }, value))));
  document.getElementById("filter-settings").append(...choices.map((column, number) => element("label", {}, column.name, selects[number])));
  const search = document.getElementById("filter");
  const apply = () => {
    const searched = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of table.tBodies[0].rows) {
      const number = Number(row.dataset.number);
      row.hidden = !searched.every((word) => words[number].includes(word)) || selects.some((select, place) => select.value !== "" && choices[place].index[number] !== Number(select.value));
      count += !row.hidden;
    }
    document.getElementById("filter-count").textContent = `${count.toLocaleString("en")} of ${words.length.toLocaleString("en")} series`;
  };
  for (const field of [search, ...selects]) field.addEventListener("input", apply);
  apply();
}

/** Show the curves of the chosen series, and the numbers of the last one. */
function showCurves(series, chosen) {
  const target = document.getElementById("plot"), heading = document.getElementById("curve-title");
  document.getElementById("curve-clear").hidden = chosen.length < 2;
  if (!chosen.length) {
    target.replaceChildren();
    heading.textContent = "No series is chosen";
    for (const name of ["curve-facts", "curve-values"]) document.getElementById(name).replaceChildren();
    return;
  }
  const curves = chosen.map((number) => curveOf(series, number)), last = chosen[chosen.length - 1];
  heading.textContent = series.titles[last] + (chosen.length > 1 ? `, with ${chosen.length - 1} other series` : "");
  drawCurves(target, curves, document.getElementById("curve-scale").value === "log");
  const facts = series.columns.slice(series.settings).map((column) => [column.name, column.values[column.index[last]]]).filter(([, text]) => text);
  target.setAttribute("aria-label", `Accuracy over the noise level: ${curves.map((curve) => curve.title).join("; ")}. ${facts.map((each) => each.join(": ")).join(", ")}.`);
  document.getElementById("curve-facts").replaceChildren(...facts.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
  document.getElementById("curve-values").replaceChildren(...valueRows(curves[curves.length - 1]));
}

/** Rows of the table of values: level, mean accuracy, one column per repetition, used of planned runs. */
function valueRows(curve) {
  const lacking = new Map(curve.lacking.map(([level, used, planned]) => [level, `${used} of ${planned}`]));
  const head = ["level", "mean", ...curve.names.map((name) => `seed ${name}`), "runs"];
  const levels = [...new Set([...curve.levels, ...lacking.keys()])].sort((a, b) => a - b);
  const text = (value) => (value == null ? "–" : value.toFixed(4));
  return [
    element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...levels.map((level) => {
      const place = curve.levels.indexOf(level);
      const each = curve.repetitions.map((accuracies) => accuracies[place] ?? null);
      const used = each.filter((value) => value !== null).length;
      return element("tr", {}, ...[short(level), text(curve.mean[place]), ...each.map(text), lacking.get(level) || `${used} of ${used}`].map((content) => element("td", {}, content)));
    })),
  ];
}
