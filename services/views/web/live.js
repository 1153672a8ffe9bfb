// @ts-check
/**
 * The live stream: one WebSocket, one topic, folded into figures.
 *
 * Invariant: a figure is the latest the gateway has sent, or the status says that it is not. A tick that does not follow
 * on the last one is never applied; a value that was not sent is missing, never 0. It reconnects for ever, with jitter,
 * and its memory does not grow.
 *
 * Hooks in the pages, for scripts and tests (all are filled by the server, then kept by `paint.js` and `wall.js`):
 * - `data-figure="KEY/ROLE"` a count. KEY is a key of the page's topic (`all`, `department:dft`, `service:…`,
 *   `completed`, `rating:5`, …), ROLE is `today`, `last` (last full minute) or `open` (open minute).
 *   `data-value` is the exact count; a missing one has `data-m="none"` and no `data-value`.
 * - `data-ratio="digital|completion|satisfaction"` a ratio of today: `data-n`, `data-of` are its exact parts.
 * - `data-share="KEY"` a share of today in per cent, `data-per-second="KEY/last"` a rate in words.
 * - `data-part="…"` clock, ages, words and charts; `data-chart="minutes|hours"`, `data-spark="KEY"`, `data-bar="KEY"`.
 * - `data-island="…"` what only the server knows, fetched again every minute.
 * - `<aside data-part="fresh" data-state="ok|behind|cut|silent">` the freshness line; on the wall `<body data-state>`.
 * @module
 */

/** @typedef {import("./format.js").Count} Count */
/** @typedef {{service: string, last: number, habit_ms: number}} SilentSource */
/**
 * @typedef {object} Heartbeat
 * @property {number} now
 * @property {string} today
 * @property {number | null} wm
 * @property {"ok" | "behind" | "starting"} state
 * @property {{state: "ok" | "behind" | "unknown", behind_ms?: number | null, since?: number | null}} pipeline
 * @property {{reporting?: number | null, silent?: SilentSource[], silent_count?: number}} sources
 * @property {string | null} [incomplete]
 */
/** @typedef {"waiting" | "cut" | "starting" | "behind" | "silent" | "ok"} Mode */

/** A heartbeat comes every second; so long without one, and the page is cut off. */
export const HEARTBEAT_MAX_MS = 3_000;
/** So long without one, and the connection is given up. */
const DEAD_MS = 10_000;
/** So long for a connection to be made. */
const CONNECT_MAX_MS = 6_000;
/** A watermark older than this is "behind" even if nobody says so. */
const WATERMARK_MAX_MS = 20_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;
/** The index lists of a subscription grow with time; beyond this a new snapshot starts them afresh. */
const INDEX_MAX = 4_000;

/** The figures of one topic. */
export class Fold {
  constructor() {
    /** @type {string | null} */
    this.epoch = null;
    /** @type {number | null} */
    this.seq = null;
    /** @type {string | null} */
    this.today = null;
    /** @type {string[]} */
    this.keys = [];
    /** @type {string[]} */
    this.periods = [];
    /** @type {Map<string, Map<string, Count>>} */
    this.values = new Map();
  }

  /** @param {any} frame */
  snapshot(frame) {
    this.epoch = frame.epoch;
    this.keys = [...(frame.keys ?? [])];
    this.periods = [...(frame.periods ?? [])];
    this.values = new Map();
    this.#take(frame, frame.values ?? []);
  }

  /**
   * @param {any} frame
   * @returns {boolean} whether it follows on the last frame
   */
  tick(frame) {
    if (this.seq === null || frame.prev !== this.seq) return false;
    this.keys.push(...(frame.keys ?? []));
    this.periods.push(...(frame.periods ?? []));
    this.#take(frame, frame.changes ?? []);
    return true;
  }

  /**
   * @param {any} frame
   * @param {[number, number, number | string][]} changes
   */
  #take(frame, changes) {
    this.seq = frame.seq;
    this.today = frame.today ?? this.today;
    for (const [k, p, v] of changes) {
      const key = this.keys[k];
      const period = this.periods[p];
      if (key === undefined || period === undefined) continue;
      let row = this.values.get(key);
      if (row === undefined) this.values.set(key, (row = new Map()));
      row.set(period, typeof v === "string" ? BigInt(v) : v);
    }
  }

  /**
   * @param {string} key
   * @param {string} period
   * @returns {Count | null}
   */
  get(key, period) {
    return this.values.get(key)?.get(period) ?? null;
  }

  /**
   * Forgets periods that nobody shows any more.
   * @param {number} minutesFromS
   * @param {number} hoursFromS
   */
  prune(minutesFromS, hoursFromS) {
    for (const row of this.values.values()) {
      for (const period of row.keys()) {
        const at = Number(period.slice(2));
        const old = period.startsWith("m:")
          ? at < minutesFromS
          : period.startsWith("h:")
            ? at < hoursFromS
            : this.today !== null && period.startsWith("d:") && period.slice(2) < this.today;
        if (old) row.delete(period);
      }
    }
  }

  get grown() {
    return this.keys.length + this.periods.length > INDEX_MAX;
  }
}

/** A subscription that is kept up for ever. */
export class Live {
  /**
   * @param {string | null} topic `null` to hear heartbeats only
   * @param {number} rate frames a second
   * @param {{now: number, wm: number | null}} page what the server has rendered, until the first frame
   */
  constructor(topic, rate, page) {
    this.topic = topic;
    this.rate = rate;
    this.fold = new Fold();
    /** @type {Heartbeat | null} */
    this.heartbeat = null;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {string | null} epoch of the gateway that is connected */
    this.epoch = null;
    this.wm = page.wm;
    /** @type {string | null} why there are no figures, in words */
    this.refused = null;
    this.attempts = 0;
    /** The gateway's clock, and when it was read by ours. */
    this.clockBase = page.now;
    this.clockAt = elapsed();
    this.openedAt = 0;
    this.askedAt = 0;
    /** @type {number | null} */
    this.retryAt = null;
    this.heardAt = elapsed();
    this.heard = false;
    setInterval(() => this.#watch(), 250);
    addEventListener("online", () => this.#retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#watch();
    });
    this.#connect();
  }

  /** The gateway's clock. */
  now() {
    return this.clockBase + (elapsed() - this.clockAt);
  }

  /** @param {number} ms */
  #setClock(ms) {
    this.clockBase = ms;
    this.clockAt = elapsed();
  }

  /** How long ago the last heartbeat was heard. */
  get silence() {
    return elapsed() - this.heardAt;
  }

  /** When the last heartbeat was heard, by the gateway's clock. */
  get heardMs() {
    return this.now() - this.silence;
  }

  /** Milliseconds until the next try; `null` while trying. */
  get retryIn() {
    if (this.retryAt !== null) return Math.max(0, this.retryAt - elapsed());
    if (this.socket?.readyState !== WebSocket.OPEN) return null;
    return Math.max(0, DEAD_MS - Math.min(this.silence, elapsed() - this.openedAt));
  }

  /** @returns {Mode} */
  get mode() {
    if (this.silence > HEARTBEAT_MAX_MS || this.refused !== null) return "cut";
    const hb = this.heartbeat;
    if (hb === null || (this.topic !== null && this.fold.seq === null)) return "waiting";
    if (hb.state === "starting") return "starting";
    if (hb.state === "behind" || hb.pipeline.state !== "ok") return "behind";
    if (this.wm !== null && this.now() - this.wm > WATERMARK_MAX_MS) return "behind";
    return (hb.sources.silent_count ?? 0) > 0 ? "silent" : "ok";
  }

  /** The instant up to which the figures reach. */
  get edge() {
    const mode = this.mode;
    if (mode === "ok" || mode === "silent") return this.now();
    return Math.min(this.wm ?? this.heardMs, this.now());
  }

  #connect() {
    this.retryAt = null;
    this.openedAt = elapsed();
    const address = new URL("/live", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address, "pp.live.v1+json");
    this.socket = socket;
    socket.onmessage = (message) => {
      if (this.socket === socket) this.#receive(message.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.#lost(null);
    };
    socket.onerror = () => {};
  }

  /** @param {unknown} data */
  #receive(data) {
    let frame;
    try {
      frame = JSON.parse(String(data));
    } catch {
      return;
    }
    switch (frame.op) {
      case "hello":
        this.#hello(frame);
        break;
      case "snap":
        if (frame.topic !== this.topic) return;
        this.fold.snapshot(frame);
        this.refused = null;
        this.wm = frame.wm ?? this.wm;
        break;
      case "tick":
        if (frame.topic !== this.topic) return;
        if (!this.fold.tick(frame)) this.#ask(true);
        else if (this.fold.grown) this.#ask(false);
        else this.wm = frame.wm ?? this.wm;
        break;
      case "hb":
        this.#beat(frame);
        break;
      case "err":
        if (frame.code === "unknown_topic" && (frame.topic ?? this.topic) === this.topic) {
          this.refused = "The gateway does not offer these figures live.";
        }
        break;
      case "bye":
        this.#lost(Number(frame.retry_ms) || null);
        break;
      default:
      // Operations of a later version are none of our business.
    }
  }

  /** @param {any} frame */
  #hello(frame) {
    this.epoch = frame.epoch ?? null;
    this.#hear(frame.now);
    this.askedAt = 0;
    this.#ask(this.fold.epoch !== null && this.fold.epoch === this.epoch);
  }

  /** @param {any} frame */
  #beat(frame) {
    this.heartbeat = { ...frame, pipeline: frame.pipeline ?? { state: "unknown" }, sources: frame.sources ?? {} };
    this.wm = frame.wm ?? this.wm;
    this.fold.today = frame.today ?? this.fold.today;
    this.#hear(frame.now);
    if (elapsed() - this.openedAt > DEAD_MS) this.attempts = 0;
  }

  /** @param {unknown} now */
  #hear(now) {
    this.heardAt = elapsed();
    this.heard = true;
    if (typeof now === "number") this.#setClock(now);
  }

  /**
   * Subscribes, at most once a second.
   * @param {boolean} resume whether from where we are
   */
  #ask(resume) {
    if (this.topic === null) return;
    if (this.askedAt !== 0 && elapsed() - this.askedAt < 1_000) return;
    this.askedAt = elapsed();
    const { seq, epoch } = this.fold;
    const since = resume && seq !== null ? { since: seq, epoch } : {};
    this.socket?.send(JSON.stringify({ op: "sub", topic: this.topic, rate: this.rate, ...since }));
  }

  #watch() {
    const open = this.socket?.readyState === WebSocket.OPEN;
    if (this.retryAt !== null) {
      if (elapsed() >= this.retryAt) this.#connect();
    } else if (!open && elapsed() - this.openedAt > CONNECT_MAX_MS) {
      this.#lost(null);
    } else if (open && Math.min(this.silence, elapsed() - this.openedAt) > DEAD_MS) {
      this.#lost(null);
    }
  }

  #retryNow() {
    if (this.retryAt !== null) this.retryAt = elapsed();
  }

  /** @param {number | null} after what the gateway asks for */
  #lost(after) {
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const wait = after ?? Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(this.attempts, 10));
    this.attempts += 1;
    this.retryAt = elapsed() + wait * (0.5 + Math.random() / 2);
  }
}

const pageStart = Date.now();

/** Milliseconds since the page was made; goes on while the machine sleeps, whatever is done to its clock. */
function elapsed() {
  return Math.max(performance.now(), Date.now() - pageStart);
}
