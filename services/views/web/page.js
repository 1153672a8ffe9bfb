// @ts-check
/**
 * A desk page: keeps its figures live, its freshness line true, and asks the server for what only the server knows.
 *
 * Invariant: a page without a live topic says how old it is; a change of state is announced once, ticks never are.
 * It repaints four times a second, and nothing at all while it cannot be seen.
 * @module
 */
import { hms, longDate, day, span, zone } from "./format.js";
import { hover } from "./hover.js";
import { Live } from "./live.js";
import { Painter, write } from "./paint.js";
import { age, words } from "./words.js";

const PAINT_MS = 250;
const DRAW_EVERY = 4;
/** Parts that only the server knows are fetched again so often, and not more often than this. */
const ISLANDS_MS = 60_000;
const ISLANDS_MIN_MS = 10_000;

/** @param {string} name */
const part = (name) => /** @type {HTMLElement | null} */ (document.querySelector(`[data-part="${name}"]`));

class Page {
  constructor() {
    const { topic, now, wm, today, refresh } = document.body.dataset;
    const made = { now: Number(now) || Date.now(), wm: wm === undefined ? null : Number(wm) };
    this.live = new Live(topic ?? null, 4, made);
    this.painter = new Painter(this.live);
    this.islandsMs = Number(refresh ?? ISLANDS_MS / 1000) * 1000;
    this.islandsAt = performance.now();
    this.turn = 0;
    this.silentSet = "";
    this.epoch = "";
    this.today = today ?? "";
    this.#names();
    setInterval(() => this.#turn(), PAINT_MS);
  }

  #turn() {
    if (document.hidden) return;
    const live = this.live;
    this.turn += 1;
    this.#fresh();
    this.#clock();
    const mode = live.mode;
    if (live.fold.seq !== null && mode !== "cut" && mode !== "waiting") {
      this.painter.paint();
      this.#seconds();
      if (this.turn % DRAW_EVERY === 0) {
        this.painter.draw();
        this.#spans();
        live.fold.prune(live.edge / 1000 - 3_700, live.edge / 1000 - 90_000);
      }
    }
    if (mode !== "cut") this.#islandsDue();
  }

  #names() {
    /** @type {Map<string, string>} */
    this.names = new Map();
    for (const element of document.querySelectorAll("[data-service][data-name]")) {
      const { service, name } = /** @type {HTMLElement} */ (element).dataset;
      if (service !== undefined && name !== undefined) this.names.set(service, name);
    }
  }

  #fresh() {
    const line = part("fresh");
    const found = words(this.live, this.names ?? new Map());
    if (line === null || found === null) return;
    const icon = part("fresh-icon")?.querySelector("use");
    icon?.setAttribute("href", `#i-${found.icon}`);
    const state = part("fresh-finding");
    const rest = part("fresh-rest");
    if (state !== null) write(state, found.finding);
    if (rest !== null) write(rest, found.rest);
    if (line.dataset.state !== found.state) {
      line.dataset.state = found.state;
      const status = part("fresh-status");
      if (status !== null) write(status, `${found.finding} ${found.rest}`);
    }
    const old = part("age");
    if (old !== null) {
      const at = found.state === "ok" || found.state === "silent";
      write(old, at ? `${span(age(this.live))} old` : `as of ${hms(this.live.edge)}`);
    }
  }

  #clock() {
    const clock = part("clock");
    if (clock === null) return;
    const now = this.live.now();
    write(clock, `${longDate(day(now))}, ${hms(now)} ${zone(now)}`);
  }

  #seconds() {
    const seconds = Math.floor(this.live.edge / 1000) % 60;
    const words = part("seconds");
    if (words !== null) write(words, String(seconds));
    part("seconds-bar")?.setAttribute("width", String(3 * seconds));
  }

  /** How long ago, in words. */
  #spans() {
    for (const element of document.querySelectorAll("[data-since]")) {
      const since = Number(/** @type {HTMLElement} */ (element).dataset.since);
      write(element, span(this.live.now() - since));
    }
  }

  #islandsDue() {
    const live = this.live;
    const waited = performance.now() - this.islandsAt;
    if (waited < ISLANDS_MIN_MS) return;
    const silentSet = (live.heartbeat?.sources.silent ?? []).map((s) => s.service).join();
    const today = live.fold.today ?? this.today;
    const changed = silentSet !== this.silentSet || (live.epoch ?? "") !== this.epoch || today !== this.today;
    if (!changed && waited < this.islandsMs) return;
    // Pages that were opened together do not ask together.
    this.islandsAt = performance.now() - Math.random() * this.islandsMs * 0.1;
    const first = this.epoch === "";
    this.silentSet = silentSet;
    this.epoch = live.epoch ?? "";
    this.today = today;
    if (!(first && silentSet === "" && waited < this.islandsMs)) void this.#islands();
  }

  async #islands() {
    let made;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) return;
      made = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      return;
    }
    for (const old of document.querySelectorAll("[data-island]")) {
      const name = /** @type {HTMLElement} */ (old).dataset.island;
      const fresh = made.querySelector(`[data-island="${name}"]`);
      // What is being used is left alone until the next time.
      if (fresh === null || old.contains(document.activeElement)) continue;
      old.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
    }
    const at = made.querySelector('[data-part="island-age"]')?.textContent;
    if (at) document.querySelectorAll('[data-part="island-age"]').forEach((element) => write(element, at));
    const before = /** @type {HTMLElement | null} */ (made.querySelector("[data-before]"))?.dataset.before;
    const chart = /** @type {HTMLElement | null} */ (document.querySelector('[data-chart="hours"]'));
    if (chart !== null && before !== undefined) chart.dataset.before = before;
    const band = /** @type {HTMLElement | null} */ (made.querySelector("[data-band]"))?.dataset.band;
    if (chart !== null && band !== undefined) chart.dataset.band = band;
    this.#names();
    this.painter = new Painter(this.live);
  }
}

hover();
new Page();
