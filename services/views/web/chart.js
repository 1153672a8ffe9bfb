// @ts-check
/**
 * Charts as text of SVG, the same as the server's (`views::chart`).
 *
 * Invariant: the same figures give the same text here and on the server; the crate's test `twins` compares the two, so
 * a chart does not jump when the first live frame comes. It never draws a figure that is not there.
 * @module
 */
import { dayAfter, dayStart, exact, hm } from "./format.js";

/** @typedef {number | null} Figure */
/** @typedef {{colour: number, label: string, values: Figure[]}} Part one stacked part, the lowest first */
/** @typedef {{from_s: number, completed: Figure}} Hour */
/** @typedef {{low: number, median: number, high: number} | null} Range what is usual in an hour */

/** @param {number} x */
export function num(x) {
  return String(Math.round(x * 10) / 10 + 0);
}

/** @param {number} x */
export function pct(x) {
  return `${Math.round(x * 10000) / 100 + 0}%`;
}

/** @param {number} max */
export function gridStep(max) {
  for (let unit = 1; ; unit *= 10) {
    for (const factor of [1, 2, 5]) {
      if (unit * factor * 4 >= max) return unit * factor;
    }
  }
}

class Axis {
  /**
   * @param {number} max
   * @param {number} yTop
   * @param {number} yZero
   */
  constructor(max, yTop, yZero) {
    this.step = gridStep(max);
    this.top = this.step * Math.max(Math.ceil(max / this.step), 1);
    this.yTop = yTop;
    this.yZero = yZero;
  }

  /** @param {number} n */
  height(n) {
    return ((this.yZero - this.yTop) * n) / this.top;
  }

  grid() {
    let out = "";
    for (let n = 0; n <= this.top; n += this.step) {
      const y = num(this.yZero - this.height(n));
      out += `<line x2="100%" y1="${y}" y2="${y}" class="${n === 0 ? "axis" : "grid"}"/>`;
      out += `<text x="-8" y="${y}" dy="5" class="e">${exact(n)}</text>`;
    }
    return out;
  }
}

/**
 * @param {number} x0
 * @param {number} x1
 * @param {number} yLow
 * @param {number} yHigh
 */
function column(x0, x1, yLow, yHigh) {
  return `M${num(x0)} ${num(yLow)}H${num(x1)}V${num(yHigh)}H${num(x0)}Z`;
}

/**
 * The ground of a chart that has nothing to draw, and why.
 * @param {number} yTop
 * @param {number} yZero
 * @param {string} words
 */
function nothing(yTop, yZero, words) {
  return (
    `<rect width="100%" y="${yTop}" height="${yZero - yTop}" class="gap"/>` +
    `<text x="50%" y="${num(midpoint(yTop, yZero))}" class="k m h">${words}</text>`
  );
}

/** @param {string} text */
function escape(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

/**
 * Rust's `f64::midpoint`.
 * @param {number} a
 * @param {number} b
 */
function midpoint(a, b) {
  return (a + b) / 2;
}

const MINUTES_TOP = 22;
const MINUTES_ZERO = 276;

/**
 * The inside of the minute chart's `svg`: the last hour stacked, the open minute hatched.
 * @param {number} fromS the oldest minute, unix seconds
 * @param {Part[]} parts
 */
export function minuteColumns(fromS, parts) {
  const n = Math.max(0, ...parts.map((part) => part.values.length));
  /** @type {Figure[]} */
  const sums = Array.from({ length: n }, (_, i) => sum(parts.map((part) => part.values[i] ?? null)));
  const max = sums.reduce((/** @type {Figure} */ a, b) => (b === null ? a : Math.max(a ?? 0, b)), null);
  const axis = new Axis(max ?? 0, MINUTES_TOP, MINUTES_ZERO);
  let out = axis.grid() + timeWords(fromS, n);
  const height = MINUTES_ZERO - MINUTES_TOP;
  if (max === null) return out + nothing(MINUTES_TOP, MINUTES_ZERO, "no events in this hour");
  out += `<svg y="${MINUTES_TOP}" width="100%" height="${height}" viewBox="0 0 1000 ${height}" preserveAspectRatio="none">`;
  /** @type {number[]} */
  const base = new Array(n).fill(0);
  let open = "";
  /** @type {[Part, number][]} */
  const labels = [];
  for (const part of parts) {
    const [path, hatched, middle] = stack(part, base, axis);
    if (path !== "") out += `<path class="f${part.colour} bs" d="${path}"/>`;
    open += hatched;
    labels.push([part, middle]);
  }
  return `${out}</svg>${open}${endWords(labels)}`;
}

/** @param {Figure[]} figures */
export function sum(figures) {
  return figures.reduce((/** @type {Figure} */ a, b) => (b === null ? a : (a ?? 0) + b), null);
}

/**
 * @param {Part} part
 * @param {number[]} base
 * @param {Axis} axis
 * @returns {[string, string, number]}
 */
function stack(part, base, axis) {
  const n = base.length;
  const width = 1000 / n;
  let path = "";
  let open = "";
  let middle = MINUTES_ZERO;
  for (let i = 0; i < n; i++) {
    const figure = part.values[i] ?? null;
    const low = base[i] ?? 0;
    const high = low + (figure ?? 0);
    const yLow = MINUTES_ZERO - axis.height(low);
    const yHigh = MINUTES_ZERO - axis.height(high);
    if (i + 2 === n) middle = midpoint(yLow, yHigh);
    base[i] = high;
    if (figure === null) continue;
    const x = i * width;
    if (i + 1 === n) {
      open =
        `<rect x="${pct(x / 1000)}" width="${pct((width * 0.8) / 1000)}" y="${num(yHigh)}" ` +
        `height="${num(yLow - yHigh)}" fill="url(#pv${part.colour})"/>`;
    } else {
      path += column(x, x + width * 0.8, yLow - MINUTES_TOP, yHigh - MINUTES_TOP);
    }
  }
  return [path, open, middle];
}

/**
 * @param {number} fromS
 * @param {number} n
 */
function timeWords(fromS, n) {
  let out = "";
  for (let i = 0; i < n; i++) {
    const atS = fromS + 60 * i;
    const minute = Math.floor(atS / 60) % 60;
    if (minute % 10 !== 0) continue;
    out += `<text x="${pct((i + 0.4) / n)}" y="296" class="${minute % 20 === 0 ? "m" : "m wide"}">${hm(atS * 1000)}</text>`;
  }
  return out;
}

/** @param {[Part, number][]} parts */
function endWords(parts) {
  const named = parts.filter(([part]) => part.label !== "");
  const ys = named.map(([, middle]) => middle);
  for (let i = 1; i < ys.length; i++) ys[i] = Math.min(ys[i] ?? 0, (ys[i - 1] ?? 0) - 21);
  let least = 9;
  for (let i = ys.length - 1; i >= 0; i--) {
    ys[i] = Math.max(ys[i] ?? 0, least);
    least = (ys[i] ?? 0) + 21;
  }
  let out = "";
  named.forEach(([part, middle], i) => {
    const y = ys[i] ?? 0;
    const last = part.values[part.values.length - 2] ?? null;
    out +=
      `<svg x="100%" class="rl"><path class="leader" d="M2 ${num(Math.min(middle, 300))}L14 ${num(y)}"/>` +
      `<rect x="17" y="${num(y - 5)}" width="10" height="10" class="f${part.colour}"/>` +
      `<text x="33" y="${num(y + 5)}">${escape(part.label)}</text>` +
      `<text x="148" y="${num(y + 5)}" class="k e">${last === null ? "none" : exact(last)}</text></svg>`;
  });
  return out;
}

const DAY_TOP = 12;
const DAY_ZERO = 236;

/**
 * The inside of the day chart's `svg`: today by hour, before the same weekday a week before.
 * @param {string} date
 * @param {Hour[]} hours
 * @param {{day: string, hours: Hour[]} | null} before
 * @param {Range[]} band what is usual in each hour since midnight
 * @param {number} openFromS where the open hour begins
 */
export function dayColumns(date, hours, before, band, openFromS) {
  const start = dayStart(date);
  const n = (dayStart(dayAfter(date, 1)) - start) / 3_600_000;
  /** @type {(from: number, all: Hour[]) => [number, number][]} */
  const place = (from, all) =>
    all.flatMap((hour) => {
      const i = Math.floor((hour.from_s * 1000 - from) / 3_600_000);
      return i >= 0 && i < n && hour.completed !== null ? [/** @type {[number, number]} */ ([i, hour.completed])] : [];
    });
  const today = place(start, hours);
  const past = before === null ? [] : place(dayStart(before.day), before.hours);
  const usual = band.slice(0, n).flatMap((range) => (range === null ? [] : [range.high]));
  const axis = new Axis(Math.max(0, ...today.concat(past).map(([, figure]) => figure), ...usual), DAY_TOP, DAY_ZERO);
  const width = 1000 / n;
  const height = DAY_ZERO - DAY_TOP;
  let blocks = "";
  let medians = "";
  band.slice(0, n).forEach((range, i) => {
    if (range === null) return;
    blocks += column(i * width, (i + 1) * width, height - axis.height(range.low), height - axis.height(range.high));
    medians += `M${num(i * width)} ${num(height - axis.height(range.median))}H${num((i + 1) * width)}`;
  });
  let pastPath = "";
  for (const [i, figure] of past) {
    pastPath += column(i * width, i * width + width * 0.92, height, height - axis.height(figure));
  }
  let path = "";
  let open = "";
  for (const [i, figure] of today) {
    const x = (i + 0.16) * width;
    const w = width * 0.6;
    const h = axis.height(figure);
    if (start / 1000 + i * 3600 === openFromS) {
      open =
        `<rect x="${pct(x / 1000)}" width="${pct(w / 1000)}" y="${num(DAY_ZERO - h)}" ` +
        `height="${num(h)}" fill="url(#pv1)"/>`;
    } else {
      path += column(x, x + w, height, height - h);
    }
  }
  const none = today.length + past.length + usual.length === 0 ? nothing(DAY_TOP, DAY_ZERO, "no events yet today") : "";
  return (
    `${axis.grid()}${none}${hourWords(start, n)}` +
    `<svg y="${DAY_TOP}" width="100%" height="${height}" viewBox="0 0 1000 ${height}" preserveAspectRatio="none">` +
    `<path class="band" d="${blocks}"/><path class="med" d="${medians}"/>` +
    `<path class="f-past-t" d="${pastPath}"/><path class="f1" d="${path}"/></svg>${open}`
  );
}

/**
 * @param {number} startMs
 * @param {number} n
 */
function hourWords(startMs, n) {
  let out = "";
  for (let i = 0; i < n; i++) {
    const word = hm(startMs + i * 3_600_000);
    const hour = Number(word.slice(0, 2));
    if (hour % 3 !== 0 || (i > 0 && hour === 0)) continue;
    const kind = i === 0 ? "s" : hour % 6 === 0 ? "m" : "m wide";
    out += `<text x="${pct(i / n)}" y="256" class="${kind}">${word}</text>`;
  }
  return `${out}<text x="100%" y="256" class="e">24:00</text>`;
}

/**
 * What stands in a sparkline's place: a line, or the hour's events in words where they are too few.
 * @param {Figure[]} minutes the open minute last
 * @param {number} width
 */
export function sparkInside(minutes, width) {
  const total = sum(minutes.slice(0, -1)) ?? 0;
  if (total === 0) return `<span class="tiny">none in the last hour</span>`;
  if (total < 60) return `<span class="tiny">${total} in the last hour</span>`;
  return (
    `<svg class="spark" width="${width}" height="26" viewBox="0 0 ${width} 26" aria-hidden="true">` +
    `${spark(minutes, width, 26)}</svg>`
  );
}

/**
 * Where a line begins: at the first minute in which anything was counted. What was before it is not known to be nothing.
 * @param {Figure[]} full
 */
function firstKnown(full) {
  const first = full.findIndex((n) => n !== null);
  return first < 0 ? full.length : first;
}

/**
 * @param {Figure[]} minutes
 * @param {number} width
 * @param {number} height
 */
export function spark(minutes, width, height) {
  const full = minutes.slice(0, -1);
  if (full.every((n) => n === null)) return "";
  const first = firstKnown(full);
  const figures = full.slice(first).map((n) => n ?? 0);
  const max = Math.max(...figures);
  const min = Math.min(...figures);
  const range = Math.max(max - min, max * 0.3, 1);
  const low = min - (range - (max - min)) / 2;
  const y1 = height - 3;
  const step = (width - 4) / (Math.max(full.length, 2) - 1);
  let path = "";
  let end = [0, 0];
  figures.forEach((n, i) => {
    end = [(first + i) * step, y1 - ((y1 - 3) * (n - low)) / range];
    path += `${i === 0 ? "M" : "L"}${num(end[0] ?? 0)} ${num(end[1] ?? 0)}`;
  });
  return `<path class="sl" d="${path}"/><circle class="se" cx="${num(end[0] ?? 0)}" cy="${num(end[1] ?? 0)}" r="2.8"/>`;
}

/**
 * The inside of a bar's `svg`.
 * @param {number} part
 * @param {number} whole
 * @param {string} kind
 */
export function bar(part, whole, kind) {
  const share = whole === 0 ? 0 : Math.min(part / whole, 1);
  return (
    `<rect class="f-rule" y="5.5" width="100%" height="1"/>` +
    `<rect class="${kind}" width="${pct(share)}" height="12"/>`
  );
}

/**
 * The path of the wall's line, mean of ten minutes, and where it ends, in a drawing of 1000 by 200.
 * @param {Figure[]} minutes all of today's, the open one last
 * @param {number} dayMinutes
 * @returns {[string, number, number]}
 */
export function wallLine(minutes, dayMinutes) {
  const full = minutes.slice(0, -1);
  /** @type {[number, number][]} */
  const means = [];
  const first = firstKnown(full);
  for (let i = first - (first % 10); i < full.length; i += 10) {
    const from = Math.max(i, first);
    const to = Math.min(i + 10, full.length);
    const middle = (from + to) / 2;
    means.push([(1000 * middle) / Math.max(dayMinutes, 1), (sum(full.slice(from, to)) ?? 0) / (to - from)]);
  }
  const top = Math.max(0, ...means.map(([, mean]) => mean));
  let path = "";
  let x = 0;
  let y = 195;
  means.forEach(([at, mean], i) => {
    x = at;
    y = top > 0 ? 195 - (185 * mean) / top : 195;
    path += `${i === 0 ? "M" : "L"}${num(x)} ${num(y)}`;
  });
  return [path, x, y];
}

/** Minutes of the day that a word of an hour covers, before its line or after it. */
const WORD_MINUTES = 195;

/**
 * Lines at 6, 12 and 18 o'clock on the wall, with words except where the line of now would cross them.
 * @param {number} dayStartMs
 * @param {number} dayMinutes
 * @param {number} nowMinute
 */
export function hourMarks(dayStartMs, dayMinutes, nowMinute) {
  let out = "";
  for (let i = 0; i < Math.floor(dayMinutes / 60); i++) {
    const word = hm(dayStartMs + i * 3_600_000);
    const kind = word === "06:00" || word === "12:00" ? "wl" : word === "18:00" ? "wl wl2" : "";
    if (kind === "") continue;
    const x = pct((i * 60) / dayMinutes);
    out += `<line x1="${x}" x2="${x}" y1="0" y2="100%" class="wt"/>`;
    const fromLine = nowMinute - i * 60;
    const [low, high] = kind === "wl" ? [-WORD_MINUTES, 0] : [0, WORD_MINUTES];
    if (fromLine < low || fromLine > high) out += `<text x="${x}" y="100%" class="${kind}">${word.replace(/^0+/, "")}</text>`;
  }
  return out;
}
