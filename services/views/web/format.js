// @ts-check
/**
 * How figures, lengths of time and London's clock are written.
 *
 * Invariant: the same figure is written here as by the server (`views::format`, `views::clock`); the crate's test
 * `twins` compares the two. It never asks the browser's locale or time zone: a wall may stand anywhere.
 * @module
 */

/** @typedef {number | bigint} Count a count; a bigint above 2^53 */

/**
 * With thousands separators: `8,185,760`.
 * @param {Count} n
 */
export function exact(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * Three significant figures with `k`, `m` or `bn`: `17.2k`, `7.79m`.
 * @param {Count} n
 */
export function short(n) {
  if (n < 1000) return exact(n);
  const big = BigInt(n);
  const magnitude = 10n ** BigInt(String(big).length - 3);
  const rounded = ((big + magnitude / 2n) / magnitude) * magnitude;
  const [unit, letter] =
    rounded < 1_000_000n ? [1_000n, "k"] : rounded < 1_000_000_000n ? [1_000_000n, "m"] : [1_000_000_000n, "bn"];
  return fixed((rounded * 100n) / unit, 2) + letter;
}

/**
 * A part of a whole in per cent, `null` without a whole: two decimals under 10 %, one above, trailing zeros off.
 * @param {Count} part
 * @param {Count} whole
 * @returns {string | null}
 */
export function percent(part, whole) {
  const p = BigInt(part);
  const w = BigInt(whole);
  if (w === 0n) return null;
  const decimals = p * 100n < 10n * w ? 2 : 1;
  const scale = 10n ** BigInt(decimals);
  const rounded = (2n * p * 100n * scale + w) / (2n * w);
  if (rounded === 0n && p > 0n) return "under 0.01%";
  if (p < w && rounded >= 100n * scale) return "over 99.9%";
  return fixed(rounded, decimals) + "%";
}

/**
 * User satisfaction of ratings 1 to 5, `null` without ratings.
 * @param {Count} rated
 * @param {Count} ratingSum
 */
export function satisfaction(rated, ratingSum) {
  const score = BigInt(ratingSum) - BigInt(rated);
  return percent(score < 0n ? 0n : score, BigInt(rated) * 4n);
}

/**
 * `315 a second`, `one in 4 seconds`; empty for none. From 41 a minute on the nearer is `1 a second`.
 * @param {Count | null} perMinute
 */
export function perSecond(perMinute) {
  const n = Number(perMinute ?? 0);
  if (n === 0) return "";
  if (n > 40) return `${exact(Math.floor((n + 30) / 60))} a second`;
  return `one in ${exact(Math.floor((60 + Math.floor(n / 2)) / n))} seconds`;
}

/**
 * `1 service`, `3 services`.
 * @param {Count} n
 * @param {string} word
 */
export function count(n, word) {
  return `${exact(n)} ${word}${Number(n) === 1 ? "" : "s"}`;
}

/**
 * A length of time in one unit: `0.8 seconds`, `3 minutes`.
 * @param {number} ms
 */
export function span(ms) {
  const [n, unit] = split(ms);
  return `${n} ${unit}${n === "1" ? "" : "s"}`;
}

/** @type {Record<string, string>} */
const SHORT = { second: "s", minute: "min", hour: "h", day: "d" };

/**
 * The same, short: `0.8 s`, `4 min`.
 * @param {number} ms
 */
export function spanShort(ms) {
  const [n, unit] = split(ms);
  return `${n} ${SHORT[unit]}`;
}

/**
 * In minutes and seconds: `4 min 16 s`.
 * @param {number} ms
 */
export function spanFine(ms) {
  const s = Math.floor(Math.max(0, ms) / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}

/**
 * @param {number} ms
 * @returns {[string, string]}
 */
function split(ms) {
  const t = Math.max(0, Math.floor(ms));
  if (t < 1000) return [t < 100 ? "0" : `0.${Math.floor(t / 100)}`, "second"];
  if (t < 60_000) return [String(Math.floor(t / 1000)), "second"];
  if (t < 3_600_000) return [String(Math.floor(t / 60_000)), "minute"];
  if (t < 172_800_000) return [String(Math.floor(t / 3_600_000)), "hour"];
  return [String(Math.floor(t / 86_400_000)), "day"];
}

/**
 * @param {bigint} units
 * @param {number} decimals
 */
function fixed(units, decimals) {
  const scale = 10n ** BigInt(decimals);
  const part = units % scale;
  const whole = exact(units / scale);
  return part === 0n ? whole : `${whole}.${String(part).padStart(decimals, "0").replace(/0+$/, "")}`;
}

/* ---------- London ---------- */

const HOUR = 3_600_000;
const DAY = 86_400_000;
const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December",
];

/**
 * How far London's clock is ahead of UTC: an hour from the last Sunday of March, 01:00 UTC, to that of October.
 * @param {number} ms
 */
export function londonOffset(ms) {
  const year = new Date(ms).getUTCFullYear();
  return ms >= lastSunday(year, 2) && ms < lastSunday(year, 9) ? HOUR : 0;
}

/**
 * 01:00 UTC of the last Sunday of a month of 31 days.
 * @param {number} year
 * @param {number} month
 */
function lastSunday(year, month) {
  const last = Date.UTC(year, month, 31, 1);
  return last - new Date(last).getUTCDay() * DAY;
}

/**
 * @param {number} ms
 */
function local(ms) {
  return new Date(ms + londonOffset(ms));
}

/**
 * `14:29`
 * @param {number} ms
 */
export function hm(ms) {
  return local(ms).toISOString().slice(11, 16);
}

/**
 * `14:27:51`
 * @param {number} ms
 */
export function hms(ms) {
  return local(ms).toISOString().slice(11, 19);
}

/**
 * `GMT` or `BST`
 * @param {number} ms
 */
export function zone(ms) {
  return londonOffset(ms) === 0 ? "GMT" : "BST";
}

/**
 * The London date at an instant: `2026-11-24`.
 * @param {number} ms
 */
export function day(ms) {
  return local(ms).toISOString().slice(0, 10);
}

/**
 * The instant at which a London date begins.
 * @param {string} date
 */
export function dayStart(date) {
  const midnight = Date.parse(`${date}T00:00:00Z`);
  return midnight - londonOffset(midnight - HOUR);
}

/**
 * The date so many days after a date.
 * @param {string} date
 * @param {number} days
 */
export function dayAfter(date, days) {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY).toISOString().slice(0, 10);
}

/**
 * `Tuesday 20 January 2026`
 * @param {string} date
 */
export function longDate(date) {
  const d = new Date(`${date}T00:00:00Z`);
  return `${weekday(date)} ${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]} ${d.getUTCFullYear()}`;
}

/**
 * `Tuesday`
 * @param {string} date
 */
export function weekday(date) {
  return WEEKDAYS[new Date(`${date}T00:00:00Z`).getUTCDay()] ?? "";
}

/**
 * `Tue 20 Jan`
 * @param {string} date
 */
export function wallDate(date) {
  const d = new Date(`${date}T00:00:00Z`);
  return `${weekday(date).slice(0, 3)} ${d.getUTCDate()} ${(MONTHS[d.getUTCMonth()] ?? "").slice(0, 3)}`;
}

/**
 * The time of day, with the date unless it is that of `now`.
 * @param {number} ms
 * @param {number} now
 */
export function moment(ms, now) {
  const date = day(ms);
  if (date === day(now)) return hm(ms);
  const d = new Date(`${date}T00:00:00Z`);
  return `${hm(ms)} on ${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`;
}
