"use strict";
// Numbers as text, ticks of level axes, and elements.

const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A number with three significant digits. */
function short(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4)) return value.toExponential(2);
  return String(Number(value.toPrecision(3)));
}

/** Texts of the ticks of one axis, all in the same notation: decimals, or powers of ten. */
function tickTexts(ticks) {
  const positive = ticks.filter((tick) => tick > 0);
  if (positive.every((tick) => tick >= 1e-3 && tick < 1e3)) return ticks.map((tick) => String(Number(tick.toPrecision(3))));
  return ticks.map((tick) => {
    if (tick === 0) return "0";
    const [mantissa, exponent] = Number(tick.toPrecision(3)).toExponential().split("e");
    const power = [...String(Number(exponent))].map((digit) => SUPERSCRIPT[digit]).join("");
    return (mantissa === "1" ? "" : mantissa + "·") + "10" + power;
  });
}

/** Powers of ten between two levels, with multiples where there is space for them. */
function logTicks(low, high, most) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const within = (steps, stride) => {
    const ticks = [];
    for (let power = first; power <= last; power += stride)
      for (const step of steps) ticks.push(Number((step * 10 ** power).toPrecision(3)));
    return ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  };
  for (const steps of [[1, 2, 5], [1, 3]]) {
    const ticks = within(steps, 1);
    if (ticks.length <= most) return ticks;
  }
  return within([1], Math.ceil((last - first) / most) || 1);
}

/** A new element with attributes and children (elements or texts). */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  made.append(...children);
  return made;
}

/** A colour of the page's style sheet, which depends on light and dark. */
function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}
