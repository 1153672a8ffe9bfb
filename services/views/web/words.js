// @ts-check
/**
 * The freshness line in words: connection, pipeline and sources, kept apart.
 *
 * Invariant: each state says something different and true, with the time that the figures belong to. It never says
 * "live" unless a heartbeat was heard in the last three seconds.
 * @module
 */
import { count, exact, hms, moment, span } from "./format.js";

/** @typedef {import("./live.js").Live} Live */
/** @typedef {{state: "ok" | "behind" | "cut" | "silent", icon: string, finding: string, rest: string}} Words */

/**
 * @param {Live} live
 * @param {Map<string, string>} names of services by id
 * @returns {Words | null} `null` until something has been heard
 */
export function words(live, names) {
  const found = finding(live, names);
  const incomplete = live.heartbeat?.incomplete;
  if (found !== null && found.state !== "cut" && incomplete) found.rest += ` ${incomplete}`;
  return found;
}

/**
 * @param {Live} live
 * @param {Map<string, string>} names
 * @returns {Words | null}
 */
function finding(live, names) {
  switch (live.mode) {
    case "waiting":
      return null;
    case "cut":
      return cut(live);
    case "starting":
      return behind(live, "Starting.", "The gateway is still reading; figures may be incomplete.");
    case "behind":
      return live.heartbeat?.pipeline.state === "unknown"
        ? behind(live, "Nothing is known of the pipeline.", "This page is connected.")
        : behind(live, "Behind.", "This page is connected; the pipeline is not keeping up.");
    case "silent":
      return silent(live, names);
    default:
      return ok(live);
  }
}

/**
 * @param {Live} live
 * @returns {Words}
 */
function ok(live) {
  const late = live.heartbeat?.pipeline.behind_ms;
  const pipeline = late == null ? "the pipeline keeps up" : `the pipeline is ${span(late)} behind`;
  const reporting = live.heartbeat?.sources.reporting;
  const sources =
    reporting == null ? "" : `, all ${count(reporting, "service")} report as usual`;
  return {
    state: "ok",
    icon: "live",
    finding: "Live.",
    rest: `Figures are ${span(age(live))} old. This page is connected, ${pipeline}${sources}.`,
  };
}

/**
 * Whole seconds at least: what is younger is not worth a second look.
 * @param {Live} live
 */
export function age(live) {
  return Math.max(1_000, live.wm === null ? live.silence : live.now() - live.wm);
}

/**
 * @param {Live} live
 * @param {string} what
 * @param {string} why
 * @returns {Words}
 */
function behind(live, what, why) {
  const figures =
    live.wm === null
      ? "Nothing has been counted yet."
      : `Figures are those of ${moment(live.wm, live.now())}, ${span(age(live))} ago.`;
  return { state: "behind", icon: "behind", finding: what, rest: `${figures} ${why}` };
}

/**
 * @param {Live} live
 * @param {Map<string, string>} names
 * @returns {Words}
 */
function silent(live, names) {
  const sources = live.heartbeat?.sources ?? {};
  const n = sources.silent_count ?? 0;
  const first = sources.silent?.[0];
  const what = n === 1 ? "Live, but one source is silent." : `Live, but ${exact(n)} sources are silent.`;
  if (first === undefined) return { state: "silent", icon: "silent", finding: what, rest: "" };
  const name = names.get(first.service) ?? first.service;
  const since = moment(first.last, live.now());
  return {
    state: "silent",
    icon: "silent",
    finding: what,
    rest: `${n > 1 ? "Longest: " : ""}${name}: nothing since ${since}; its longest usual pause is ${span(first.habit_ms)}.`,
  };
}

/**
 * @param {Live} live
 * @returns {Words}
 */
function cut(live) {
  if (live.refused !== null) {
    return { state: "cut", icon: "cut", finding: "Not live.", rest: `${live.refused} Figures are those of ${hms(live.edge)}.` };
  }
  const retry = live.retryIn;
  const again = retry === null ? "Trying again now." : `Trying again in ${span(Math.ceil(retry / 1000) * 1000)}.`;
  const heard = live.heard
    ? `This page has heard nothing since ${hms(live.heardMs)}.`
    : "This page has not reached the live stream.";
  return { state: "cut", icon: "cut", finding: "Cut off.", rest: `${heard} Figures are those of ${hms(live.edge)}. ${again}` };
}
