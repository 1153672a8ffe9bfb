// @ts-check
/**
 * Figures into the page: text nodes in place, charts from the same figures.
 *
 * Invariant: what is shown is what the fold holds for the period that the words beside it name. While the pipeline is
 * behind a figure without a value keeps what it shows; while the page is cut off nothing moves. It never writes 0 for a
 * value that was not sent.
 * @module
 */
import { bar, dayColumns, minuteColumns, sparkInside } from "./chart.js";
import { day, dayAfter, dayStart, exact, hm, percent, perSecond, satisfaction } from "./format.js";

/** @typedef {import("./format.js").Count} Count */
/** @typedef {import("./live.js").Live} Live */
/** @typedef {{minute: string, last: string, today: string, minuteS: number}} Periods */

/** @type {WeakMap<Element, {fromS: number, parts: import("./chart.js").Part[]}>} what was drawn last into a minute chart */
export const drawn = new WeakMap();

/** Minutes of the last hour and the open one. */
const MINUTES = 61;

/**
 * The periods that today, the open minute and the last full minute mean now.
 * @param {Live} live
 * @returns {Periods}
 */
export function periods(live) {
  const minuteS = Math.floor(live.edge / 60_000) * 60;
  const steady = live.mode === "ok" || live.mode === "silent";
  const today = steady && live.fold.today !== null ? live.fold.today : day(live.edge);
  return { minute: `m:${minuteS}`, last: `m:${minuteS - 60}`, today: `d:${today}`, minuteS };
}

/**
 * Text, only if it changes, in place.
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent === text) return;
  const only = element.childNodes.length === 1 ? element.firstChild : null;
  if (only !== null && only.nodeType === Node.TEXT_NODE) only.nodeValue = text;
  else element.textContent = text;
}

/**
 * A figure and its exact value, or that it is missing.
 * @param {HTMLElement} element
 * @param {Count | null} value
 * @param {string} text
 */
export function writeFigure(element, value, text) {
  if (value === null) {
    delete element.dataset.value;
    element.dataset.m = "none";
  } else {
    element.dataset.value = String(value);
    delete element.dataset.m;
  }
  write(element, text);
}

/**
 * A sum of keys such as `rating:1+2*rating:2`; `null` if none of them has a value.
 * @param {Live} live
 * @param {string} keys
 * @param {string} period
 * @returns {bigint | null}
 */
function sum(live, keys, period) {
  /** @type {bigint | null} */
  let total = null;
  for (const term of keys.split("+")) {
    const [factor, key] = term.includes("*") ? /** @type {[string, string]} */ (term.split("*", 2)) : ["1", term];
    const value = live.fold.get(key, period);
    if (value !== null) total = (total ?? 0n) + BigInt(value) * BigInt(factor);
  }
  return total;
}

/**
 * @param {string} selector
 * @returns {HTMLElement[]}
 */
function all(selector) {
  return [...document.querySelectorAll(selector)].map((element) => /** @type {HTMLElement} */ (element));
}

/**
 * What is said for a missing figure.
 * @param {HTMLElement} element
 */
function none(element) {
  return element.dataset.none ?? (element.dataset.figure?.endsWith("/today") ? "no events yet" : "none");
}

/** What a page shows live. Made anew when parts of the page are replaced. */
export class Painter {
  figures = all("[data-figure]");
  rates = all("[data-per-second]");
  ratios = all("[data-ratio]");
  shares = all("[data-share]");
  bars = all("[data-bar]");
  sparks = all("[data-spark]");
  charts = all("[data-chart]");
  lastMinutes = all('[data-part="last-minute"]');
  drawnMinute = "";

  /** @param {Live} live */
  constructor(live) {
    this.live = live;
  }

  /** Everything that may change within a minute. */
  paint() {
    const now = periods(this.live);
    const steady = this.live.mode === "ok" || this.live.mode === "silent";
    for (const element of this.figures) {
      const value = this.#value(element.dataset.figure ?? "", now);
      if (value === null && !steady) continue;
      writeFigure(element, value, value === null ? none(element) : exact(value));
    }
    for (const element of this.rates) {
      const value = this.#value(element.dataset.perSecond ?? "", now);
      if (value !== null || steady) write(element, perSecond(value));
    }
    for (const element of this.lastMinutes) write(element, hm((now.minuteS - 60) * 1000));
    this.#ratios(now);
    this.#bars(now);
  }

  /** Charts, once a second; sparklines, once a minute. */
  draw() {
    const now = periods(this.live);
    for (const chart of this.charts) {
      if (chart.dataset.chart === "minutes") this.#minutes(chart, now);
      else this.#hours(chart, now);
    }
    if (now.minute === this.drawnMinute) return;
    this.drawnMinute = now.minute;
    for (const element of this.sparks) {
      element.innerHTML = sparkInside(this.#hour(element.dataset.spark ?? "", now), Number(element.dataset.width));
    }
  }

  /**
   * @param {string} name
   * @param {Periods} now
   */
  #value(name, now) {
    const at = name.lastIndexOf("/");
    const role = name.slice(at + 1);
    const period = role === "today" ? now.today : role === "open" ? now.minute : now.last;
    return this.live.fold.get(name.slice(0, at), period);
  }

  /** @param {Periods} now */
  #ratios(now) {
    for (const element of this.ratios) {
      const of = sum(this.live, element.dataset.ofKeys ?? "", now.today);
      const n = sum(this.live, element.dataset.nKeys ?? "", now.today) ?? (this.#sent(element) ? 0n : null);
      if (n === null || of === null) continue;
      const text = element.dataset.ratio === "satisfaction" ? satisfaction(of, n) : percent(n, of);
      if (text === null) continue;
      element.dataset.n = String(n);
      element.dataset.of = String(of);
      delete element.dataset.m;
      write(element, text);
    }
    for (const element of this.shares) {
      const of = sum(this.live, element.dataset.ofKeys ?? "", now.today);
      const n = sum(this.live, element.dataset.share ?? "", now.today);
      if (n !== null && of !== null) write(element, percent(n, of) ?? "");
    }
  }

  /**
   * Whether a part that was not sent is none, not unknown: the topic of one service holds all its parts.
   * @param {HTMLElement} element
   */
  #sent(element) {
    return element.dataset.ratio !== "satisfaction" && (this.live.topic ?? "").startsWith("service:");
  }

  /** @param {Periods} now */
  #bars(now) {
    for (const element of this.bars) {
      const of = sum(this.live, element.dataset.ofKeys ?? "", now.today);
      const n = sum(this.live, element.dataset.bar ?? "", now.today);
      if (n === null || of === null) continue;
      const inside = bar(Number(n), Number(of), element.dataset.class ?? "");
      if (element.dataset.drawn === inside) continue;
      element.dataset.drawn = inside;
      element.innerHTML = inside;
    }
  }

  /**
   * @param {string} key
   * @param {Periods} now
   */
  #hour(key, now) {
    return Array.from({ length: MINUTES }, (_, i) => {
      const value = this.live.fold.get(key, `m:${now.minuteS - 60 * (MINUTES - 1 - i)}`);
      return value === null ? null : Number(value);
    });
  }

  /**
   * @param {HTMLElement} chart
   * @param {Periods} now
   */
  #minutes(chart, now) {
    /** @type {{colour: number, label: string, key: string | null}[]} */
    const config = JSON.parse(chart.dataset.parts ?? "[]");
    const rest = this.#hour(chart.dataset.all ?? "", now);
    const parts = config.map(({ colour, label, key }) => {
      if (key === null) return { colour, label, values: rest.map((n) => (n === null || n <= 0 ? null : n)) };
      const values = this.#hour(key, now);
      values.forEach((n, i) => {
        const left = rest[i] ?? null;
        rest[i] = left === null ? null : left - (n ?? 0);
      });
      return { colour, label, values };
    });
    const fromS = now.minuteS - 60 * (MINUTES - 1);
    chart.innerHTML = minuteColumns(fromS, parts);
    drawn.set(chart, { fromS, parts });
    chart.dispatchEvent(new Event("drawn", { bubbles: true }));
    const legend = chart.closest("figure")?.querySelectorAll('[data-part="legend"] b') ?? [];
    [...parts].reverse().forEach((part, i) => {
      const last = part.values[MINUTES - 2] ?? null;
      const place = legend[i];
      if (place !== undefined) write(place, last === null ? "none" : exact(last));
    });
  }

  /**
   * @param {HTMLElement} chart
   * @param {Periods} now
   */
  #hours(chart, now) {
    const date = now.today.slice(2);
    const openS = Math.floor(now.minuteS / 3600) * 3600;
    const hours = [];
    for (let at = dayStart(date) / 1000; at <= openS; at += 3600) {
      const value = this.live.fold.get(chart.dataset.key ?? "", `h:${at}`);
      hours.push({ from_s: at, completed: value === null ? null : Number(value) });
    }
    const before = chart.dataset.before === undefined ? null : JSON.parse(chart.dataset.before);
    // The day compared with is a week before the day shown; after midnight it is not until the page is made again.
    const fits = before !== null && dayAfter(before.day, 7) === date;
    const band = chart.dataset.band === undefined || chart.dataset.bandDay !== date ? [] : JSON.parse(chart.dataset.band);
    chart.innerHTML = dayColumns(date, hours, fits ? before : null, band, openS);
  }
}
