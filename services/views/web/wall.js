// @ts-check
/**
 * The wallboard: one number for a room, unattended for months.
 *
 * Invariant: the state of the whole screen says how far its figures can be believed: cut off, pipeline behind, source
 * silent and healthy never look alike. Its memory has a bound. It never reloads itself into an error page: it asks
 * first whether the gateway is well.
 * @module
 */
import { hourMarks, pct, sum, wallLine } from "./chart.js";
import { count, day, dayAfter, dayStart, exact, hm, hms, short, spanFine, spanShort, wallDate, zone } from "./format.js";
import { Live } from "./live.js";
import { periods, write, writeFigure } from "./paint.js";

const HOUR_MS = 3_600_000;
/** What only the server knows is asked for again so often: the tiles, which keep their places for the hour, … */
const TILES_MS = 20 * 60_000;
/** … and how today stands against the usual day, where that is known. */
const USUAL_MS = 60_000;
const TILES_MIN_MS = 15_000;
/** A page older than this is made anew in the quiet hour, 03:00 to 04:00 in London. */
const AGE_MAX_MS = 6 * HOUR_MS;
const QUIET = "03";

/** @param {string} name */
function part(name) {
  const element = document.querySelector(`[data-part="${name}"]`);
  if (element === null) throw new Error(`the wall has no part ${name}`);
  return /** @type {HTMLElement} */ (element);
}

/**
 * An icon and words, only if they change.
 * @param {HTMLElement} element
 * @param {string | null} icon
 * @param {string} text
 */
function say(element, icon, text) {
  const said = `${icon ?? ""}|${text}`;
  if (element.dataset.said === said) return;
  element.dataset.said = said;
  element.replaceChildren(...(icon === null ? [] : [drawn(icon)]), text);
}

/** @param {string} icon */
function drawn(icon) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "i");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${icon}`);
  svg.append(use);
  return svg;
}

/**
 * The hero: exact up to seven digits, above that short, so that it fits.
 * @param {import("./format.js").Count | null} n
 */
export function heroText(n) {
  return n === null ? "none yet" : n > 9_999_999 ? short(n) : exact(n);
}

/** The day's line as rows of a table. @param {(number | null)[]} figures of its minutes @param {number} start */
function hourRows(figures, start) {
  let out = "";
  for (let i = 0; i < figures.length; i += 60) {
    const n = sum(figures.slice(i, i + 60));
    out += `<tr><th scope="row">${hm(start + i * 60_000)}</th><td>${n === null ? "none" : exact(n)}</td></tr>`;
  }
  return out;
}

class Wall {
  constructor() {
    const { now, wm } = document.body.dataset;
    const made = { now: Number(now) || Date.now(), wm: wm === undefined ? null : Number(wm) };
    this.live = new Live("wall", 1, made);
    this.parts = {
      title: part("title"), clock: part("clock"), unit: part("rate-unit"), usual: part("usual"), usual1: part("usual-1"),
      usual2: part("usual-2"), hours: part("hours"), table: part("table"), words: part("hour-words"), line: part("line"), now: part("now"), end: part("end"),
      gap: part("gap"), tiles: part("tiles"), message: part("message"), heard: part("heard"), again: part("again"),
      connection: part("connection"), pipeline: part("pipeline"), sources: part("sources"), status: part("status"),
    };
    this.today = document.body.dataset.today ?? "";
    this.madeAt = performance.now();
    this.tilesAt = performance.now();
    this.reloadMinute = Math.floor(Math.random() * 60);
    this.checkedMinute = "";
    this.drawn = "";
    const theme = new URLSearchParams(location.search).get("theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    this.#turn();
  }

  /** Once a second, on the second. */
  #turn() {
    setTimeout(() => this.#turn(), 1_000 - (this.live.now() % 1_000) + 5);
    const mode = this.live.mode;
    this.#state(mode);
    this.#clock(mode);
    this.#ages(mode);
    if (mode === "cut") this.#cut();
    else if (mode !== "waiting") this.#figures(mode);
    this.#orbit();
    this.#tilesDue(mode);
    this.#reloadDue(mode);
  }

  /** @param {import("./live.js").Mode} mode */
  #state(mode) {
    const state = mode === "starting" ? "behind" : mode === "waiting" ? (document.body.dataset.state ?? "ok") : mode;
    const { title, tiles, message, status } = this.parts;
    if (mode !== "waiting") {
      tiles.hidden = mode === "cut";
      message.hidden = mode !== "cut";
      if (state === "behind") say(title, "behind", this.#stopped("Figures stopped at", "Stopped"));
      else if (mode === "cut") say(title, null, this.#stopped("Last known, at", "Last known,"));
      else say(title, null, title.dataset.title ?? "");
    }
    if (document.body.dataset.state === state) return;
    document.body.dataset.state = state;
    write(status, `${title.textContent}`);
  }

  /**
   * @param {string} today
   * @param {string} before
   */
  #stopped(today, before) {
    if (this.live.wm === null && this.live.mode !== "cut") return "No figures yet";
    const at = this.live.edge;
    return day(at) === day(this.live.now()) ? `${today} ${hm(at)}` : `${before} ${wallDate(day(at))}, ${hm(at)}`;
  }

  /** @param {import("./live.js").Mode} mode */
  #clock(mode) {
    const now = this.live.now();
    const date = document.createElement("span");
    date.className = "wd";
    date.textContent = `${wallDate(day(now))} `;
    const zoned = document.createElement("span");
    zoned.className = "wz";
    zoned.textContent = zone(now);
    const dated = mode === "ok" || mode === "silent" || mode === "waiting";
    this.parts.clock.replaceChildren(...(dated ? [date] : []), `${hms(now)} `, zoned);
  }

  /** @param {import("./live.js").Mode} mode */
  #ages(mode) {
    const { connection, pipeline, sources } = this.parts;
    /** @type {(element: HTMLElement, state: string, icon: string, text: string) => void} */
    const set = (element, state, icon, text) => {
      element.dataset.s = state;
      say(element, icon, text);
    };
    if (mode === "cut") {
      const text = this.live.heard ? `Cut off ${spanShort(this.live.silence)}` : "Not connected";
      set(connection, "bad", "cut", text);
      set(pipeline, "off", "unknown", "Pipeline unknown");
      set(sources, "off", "unknown", "Sources unknown");
      return;
    }
    if (mode === "waiting") return;
    set(connection, "ok", "live", "Connected");
    const hb = this.live.heartbeat;
    const exactly = hb?.pipeline.behind_ms ?? (this.live.wm === null ? null : this.live.now() - this.live.wm);
    const late = exactly === null ? null : Math.max(1_000, exactly);
    if (mode === "starting") set(pipeline, "odd", "behind", "Gateway starting");
    else if (hb?.pipeline.state === "unknown") set(pipeline, "off", "unknown", "Pipeline unknown");
    else if (mode === "behind") set(pipeline, "odd", "behind", late === null ? "Pipeline behind" : `Pipeline ${spanShort(late)} behind`);
    else set(pipeline, "ok", "live", late === null ? "Pipeline up to date" : `Pipeline ${spanShort(late)} behind`);
    const silent = hb?.sources.silent_count ?? 0;
    if (mode === "behind" || mode === "starting" || hb?.sources.reporting == null) set(sources, "off", "unknown", "Sources unknown");
    else if (silent > 0) set(sources, "silent", "silent", `${count(silent, "source")} silent`);
    else set(sources, "ok", "live", "Sources on time");
  }

  /** Old figures stay, and say so. */
  #cut() {
    const { usual1, usual2, unit, heard, again } = this.parts;
    say(usual1, null, "Old figures,");
    usual2.className = "";
    say(usual2, null, "not live");
    const age = this.live.now() - this.live.edge;
    const rate = /** @type {HTMLElement} */ (document.querySelector('[data-figure="all/last"]'));
    write(rate, spanShort(age));
    write(unit, "ago");
    const { refused, retryIn } = this.live;
    const said = this.live.heard ? `Nothing heard for ${spanFine(this.live.silence)}.` : "Nothing heard since it was opened.";
    write(heard, refused ?? said);
    write(again, retryIn === null ? "Trying again now." : `Trying again in ${spanFine(Math.ceil(retryIn / 1000) * 1000)}.`);
    this.#now();
    this.drawn = "";
  }

  /** @param {import("./live.js").Mode} mode */
  #figures(mode) {
    const { fold } = this.live;
    const { unit } = this.parts;
    const at = periods(this.live);
    const steady = mode === "ok" || mode === "silent";
    for (const found of document.querySelectorAll("[data-figure]")) {
      const element = /** @type {HTMLElement} */ (found);
      const [key, role] = /** @type {[string, string]} */ ((element.dataset.figure ?? "").split("/", 2));
      const value = fold.get(key, role === "today" ? at.today : at.last);
      if (role === "last" && key !== "all") continue;
      if (value === null && !steady) continue;
      writeFigure(element, value, role === "today" ? heroText(value) : value === null ? "none" : exact(value));
    }
    const rate = /** @type {HTMLElement} */ (document.querySelector('[data-figure="all/last"]'));
    write(unit, rate.dataset.m === "none" ? "last minute" : "a minute");
    this.#usual(mode);
    this.#tiles(at, steady);
    this.#day(at);
    this.#now();
  }

  /**
   * Two short lines; the server wrote those of a healthy day into the attributes.
   * @param {import("./live.js").Mode} mode
   */
  #usual(mode) {
    const { usual, usual1, usual2 } = this.parts;
    const { arrow, first = "", second = "" } = usual.dataset;
    const silent = mode === "silent" ? (this.live.heartbeat?.sources.silent_count ?? 0) : 0;
    usual2.className = silent > 0 ? "ws1" : "";
    if (mode !== "ok" && mode !== "silent") {
      say(usual1, null, "Last count");
      say(usual2, null, `at ${hm(this.live.edge)}`);
    } else if (silent > 0 && arrow === undefined) {
      say(usual1, null, "Total without");
      say(usual2, null, count(silent, "source"));
    } else {
      say(usual1, arrow ?? null, first);
      say(usual2, null, silent === 0 ? second : silent === 1 ? "1 source missing" : `${count(silent, "source")} out`);
    }
  }

  /**
   * @param {import("./paint.js").Periods} at
   * @param {boolean} steady
   */
  #tiles(at, steady) {
    const silent = new Map((this.live.heartbeat?.sources.silent ?? []).map((s) => [s.service, s.last]));
    for (const found of this.parts.tiles.children) {
      const tile = /** @type {HTMLElement} */ (found);
      const figure = /** @type {HTMLElement} */ (tile.querySelector("[data-figure]"));
      const last = silent.get(tile.dataset.service ?? "");
      const value = this.live.fold.get(`service:${tile.dataset.service}`, at.last);
      if (steady && last !== undefined) {
        tile.dataset.s = "silent";
        delete figure.dataset.value;
        delete figure.dataset.m;
        say(figure, "silent", `silent ${spanShort(this.live.now() - last)}`);
        continue;
      }
      if (value === null && !steady) continue;
      delete tile.dataset.s;
      const text = value === null ? "none" : exact(value);
      if (figure.dataset.said === text) continue;
      figure.dataset.said = text;
      writeFigure(figure, value, text);
      const unit = document.createElement("small");
      unit.textContent = "/min";
      if (value !== null) figure.append(unit);
    }
  }

  /** @param {import("./paint.js").Periods} at */
  #day(at) {
    const drawn = `${at.today} ${at.minute}`;
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    const date = at.today.slice(2);
    const start = dayStart(date);
    const minutes = (dayStart(dayAfter(date, 1)) - start) / 60_000;
    const figures = [];
    for (let s = start / 1000; s <= at.minuteS; s += 60) {
      const value = this.live.fold.get("all", `m:${s}`);
      figures.push(value === null ? null : Number(value));
    }
    const [path, x, y] = wallLine(figures, minutes);
    const { hours, table, words, line, end } = this.parts;
    hours.innerHTML = hourMarks(start, minutes, at.minuteS / 60 - start / 60_000);
    words.innerHTML = hours.innerHTML;
    table.innerHTML = hourRows(figures, start);
    line.setAttribute("d", path);
    end.setAttribute("cx", pct(x / 1000));
    end.setAttribute("cy", pct(y / 200));
    this.live.fold.prune(Math.min(start / 1000, at.minuteS - 3_700), start / 1000);
  }

  /** Where now is in the day, and how much of it is not in the figures. */
  #now() {
    const { now, gap } = this.parts;
    const at = this.live.now();
    const date = day(this.live.edge);
    const start = dayStart(date);
    const length = dayStart(dayAfter(date, 1)) - start;
    const x = Math.min(1, (at - start) / length);
    now.setAttribute("x1", pct(x));
    now.setAttribute("x2", pct(x));
    const from = (this.live.edge - start) / length;
    gap.setAttribute("x", pct(from));
    gap.setAttribute("width", pct(Math.max(0, x - from)));
  }

  /** A few pixels, another place each minute, so that nothing burns in. */
  #orbit() {
    const minute = Math.floor(this.live.now() / 60_000);
    const radius = 1 + (minute % 4);
    const angle = (minute % 12) * (Math.PI / 6);
    const main = document.querySelector("main");
    if (main === null) return;
    // Never to the right, where it would be wider than the window.
    const [x, y] = [-Math.abs(radius * Math.cos(angle)), radius * Math.sin(angle)];
    const to = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
    if (main.style.transform !== to) main.style.transform = to;
  }

  /** @param {import("./live.js").Mode} mode */
  #tilesDue(mode) {
    if (mode === "cut" || mode === "waiting") return;
    const shown = new Set([...this.parts.tiles.children].map((tile) => /** @type {HTMLElement} */ (tile).dataset.service));
    const last = periods(this.live).last;
    const strange = this.live.fold.keys.some(
      (key) => key.startsWith("service:") && !shown.has(key.slice(8)) && this.live.fold.get(key, last) !== null,
    );
    const waited = performance.now() - this.tilesAt;
    const known = this.parts.usual.dataset.arrow !== undefined;
    const today = day(this.live.now());
    const soon = strange || today !== this.today;
    if (waited < (soon ? TILES_MIN_MS : known ? USUAL_MS : TILES_MS)) return;
    this.today = today;
    this.tilesAt = performance.now() - Math.random() * 5_000;
    void this.#renew();
  }

  /** New tiles take the places of those that left; the others stay where they are. */
  async #renew() {
    const made = await fetched();
    const fresh = made?.querySelector('[data-part="tiles"]');
    if (!made || !fresh) return;
    const usual = /** @type {HTMLElement | null} */ (made.querySelector('[data-part="usual"]'));
    for (const name of ["arrow", "first", "second"]) {
      const words = usual?.dataset[name];
      if (words === undefined) delete this.parts.usual.dataset[name];
      else this.parts.usual.dataset[name] = words;
    }
    /** @type {(tile: Element) => string | undefined} */
    const id = (tile) => /** @type {HTMLElement} */ (tile).dataset.service;
    const shown = new Set([...this.parts.tiles.children].map(id));
    const coming = [...fresh.children].filter((tile) => !shown.has(id(tile)));
    const staying = new Set([...fresh.children].map(id));
    for (const old of [...this.parts.tiles.children]) {
      if (staying.has(id(old))) continue;
      const next = coming.shift();
      if (next === undefined) old.remove();
      else old.replaceWith(document.importNode(next, true));
    }
    this.parts.tiles.append(...coming.map((tile) => document.importNode(tile, true)));
  }

  /** @param {import("./live.js").Mode} mode */
  #reloadDue(mode) {
    if (mode !== "ok" && mode !== "silent") return;
    if (performance.now() - this.madeAt < AGE_MAX_MS) return;
    const minute = hm(this.live.now());
    if (!minute.startsWith(QUIET) || Number(minute.slice(3)) < this.reloadMinute || minute === this.checkedMinute) return;
    this.checkedMinute = minute;
    void healthy().then((well) => {
      if (well) location.reload();
    });
  }
}

/** The page as the server would make it now; `null` if it would not. */
async function fetched() {
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  }
}

/** Whether the gateway says that it is well, and makes this page. A gateway without the question is asked for the page alone. */
async function healthy() {
  try {
    const answer = await fetch("/health", { cache: "no-store" });
    if (!answer.ok && answer.status !== 404) return false;
  } catch {
    return false;
  }
  return (await fetched())?.body.classList.contains("wall") ?? false;
}

new Wall();
