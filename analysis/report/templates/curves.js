"use strict";
// Curves of chosen series: accuracy over the level, drawn with uPlot.

const HEIGHT = 340;

/** One series in the form that is drawn: levels, accuracies per repetition, their mean, midpoint and fit. */
function curveOf(series, number) {
  const levels = series.levels.values[series.levels.index[number]];
  const repetitions = series.accuracy[number].map((steps) => steps.map((step) => (step === null ? null : step * series.step)));
  const mean = levels.map((_, place) => average(repetitions.map((each) => each[place])));
  return {
    title: series.titles[number], levels, repetitions, mean, mu: series.mu[number], fit: series.fit[number],
    names: series.repetitions.values[series.repetitions.index[number]],
    lacking: series.planned.values[series.planned.index[number]] || [],
    noiseFree: series.noise_free[number], chance: series.chance.values[series.chance.index[number]],
    axis: series.axis.values[series.axis.index[number]],
  };
}

function average(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

/** Accuracy of the weighted fit at a level above 0. */
function fitted([mu, sigma, lowest, highest], level) {
  return lowest + (highest - lowest) / (1 + Math.exp((Math.log10(level) - mu) / sigma));
}

/** Draw curves into an element, which is emptied first. `logarithmic` decides the axis of the level. */
function drawCurves(target, curves, logarithmic) {
  target.replaceChildren();
  const levels = [...new Set(curves.flatMap((curve) => [...curve.levels, ...curve.lacking.map(([level]) => level)]))].sort((a, b) => a - b);
  const positive = levels.filter((level) => level > 0);
  const low = positive[0] || 1, high = positive[positive.length - 1] || 1;
  const zero = logarithmic ? low / 10 ** Math.max(0.15, 0.1 * Math.log10(high / low)) : 0;
  const place = (level) => (level > 0 ? level : zero);
  const left = levels[0] > 0 ? low : zero;
  const range = logarithmic ? [left / (high / left) ** 0.03, high * (high / left) ** 0.03] : [left - 0.03 * high, high * 1.03];
  const ticks = logarithmic ? [...(levels[0] > 0 ? [] : [0]), ...logTicks(low, high, 7)] : null;
  const axis = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("strong"), width: 1 } };
  const options = {
    width: Math.max(target.clientWidth, 240), height: HEIGHT,
    scales: { x: { time: false, distr: logarithmic ? 3 : 1, range: () => (range[0] < range[1] ? range : [range[0] / 2, range[1] * 2]) }, y: { range: [0, 1.03] } },
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    series: [{ label: "level", value: (_, value) => (value == null ? "–" : short(value === zero ? 0 : value)) }, ...curves.map((curve, number) => ({
      label: curve.title, stroke: color("c" + (number % 7)), width: 1.6, spanGaps: true, points: { show: false },
      value: (_, value, __, index) => hoverText(curve, value, levels[index]),
    }))],
    axes: [
      { ...axis, label: curves[0].axis, labelSize: 24, ...(logarithmic ? { splits: () => ticks.map(place), filter: (_, splits) => splits, values: () => tickTexts(ticks) } : { values: (_, splits) => tickTexts(splits) }) },
      { ...axis, label: "validation accuracy", labelSize: 24, values: (_, splits) => splits.map((value) => String(Number(value.toFixed(2)))) },
    ],
    hooks: { draw: [(plot) => curves.forEach((curve, number) => plot.series[number + 1].show && drawMarks(plot, curve, color("c" + (number % 7)), place, curves.length === 1))] },
  };
  const data = [levels.map(place), ...curves.map((curve) => {
    const at = new Map(curve.levels.map((level, index) => [level, curve.mean[index]]));
    return levels.map((level) => at.get(level) ?? null);
  })];
  return new uPlot(options, data, target);
}

function hoverText(curve, mean, level) {
  if (mean == null) return "–";
  const place = curve.levels.indexOf(level);
  const each = curve.repetitions.map((accuracies) => accuracies[place]).filter((value) => value !== null);
  const fit = curve.fit && level > 0 ? `, fit ${fitted(curve.fit, level).toFixed(3)}` : "";
  return `${mean.toFixed(3)} (${each.map((value) => value.toFixed(3)).join(", ")})${fit}`;
}

/** Draw what belongs to one curve on top of its mean: repetitions, fit, midpoint, noise-free and chance accuracy. */
function drawMarks(plot, curve, shade, place, single) {
  const context = plot.ctx, ratio = devicePixelRatio;
  const x = (level) => plot.valToPos(place(level), "x", true), y = (accuracy) => plot.valToPos(accuracy, "y", true);
  const { left, top, width, height } = plot.bbox;
  const line = (points, dash) => {
    context.setLineDash(dash.map((length) => length * ratio));
    context.beginPath();
    points.forEach(([across, up], number) => (number ? context.lineTo(across, up) : context.moveTo(across, up)));
    context.stroke();
  };
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.strokeStyle = context.fillStyle = shade;
  context.lineWidth = 1.2 * ratio;
  const [mu, low, high] = curve.mu;
  if (mu !== null && low !== null) {
    context.globalAlpha = 0.18;
    context.fillRect(x(low), top, Math.max(x(high) - x(low), ratio), height);
    context.globalAlpha = 1;
  }
  if (mu !== null) line([[x(mu), top], [x(mu), top + height]], curve.mu[3] ? [2, 6] : []);
  if (curve.fit) {
    const [first, last] = [curve.levels.find((level) => level > 0), curve.levels[curve.levels.length - 1]].map(Math.log10);
    const fine = Array.from({ length: 121 }, (_, number) => 10 ** (first + ((last - first) * number) / 120));
    line(fine.map((level) => [x(level), y(fitted(curve.fit, level))]), [6, 4]);
  }
  for (const accuracies of curve.repetitions)
    accuracies.forEach((accuracy, number) => {
      if (accuracy === null) return;
      context.beginPath();
      context.arc(x(curve.levels[number]), y(accuracy), 2.6 * ratio, 0, 2 * Math.PI);
      context.fill();
    });
  context.lineWidth = 2 * ratio;
  for (const [level] of curve.lacking) {
    const across = x(level), up = y(0.02), size = 4 * ratio;
    line([[across - size, up - size], [across + size, up + size]], []);
    line([[across - size, up + size], [across + size, up - size]], []);
  }
  if (single) {
    context.lineWidth = ratio;
    context.strokeStyle = color("soft");
    for (const accuracy of [curve.noiseFree, curve.chance]) if (accuracy !== null) line([[left, y(accuracy)], [left + width, y(accuracy)]], [2, 3]);
  }
  context.restore();
}
