// @ts-check
/**
 * The nearest point of a chart under the pointer or the arrow keys, in words from the table behind the chart; of a chart
 * that is drawn again and again, from what was drawn last.
 *
 * Invariant: what is said is what is drawn, so there is one source for both. Nothing is drawn before somebody asks,
 * and parts of the page that are replaced need no new listeners.
 * @module
 */
import { sum } from "./chart.js";
import { exact, hm } from "./format.js";
import { drawn } from "./paint.js";

/** @param {EventTarget | null} target */
function chartOf(target) {
  return target instanceof Element ? /** @type {SVGSVGElement | null} */ (target.closest("svg[data-hover]")) : null;
}

/**
 * What is to be said of a place in the chart: a head, and figures with their names.
 * @param {SVGSVGElement} svg
 * @param {number} i
 * @returns {{head: string, figures: [string, string][]} | null}
 */
function wordsOf(svg, i) {
  const live = drawn.get(svg);
  if (live !== undefined) {
    const words = (/** @type {number | null} */ n) => (n === null ? "none" : exact(n));
    const at = (/** @type {import("./chart.js").Part} */ part) => part.values[i] ?? null;
    const named = live.parts.filter((part) => part.label !== "");
    const isOpen = i + 1 === places(svg).length;
    return {
      head: `${hm((live.fromS + 60 * i) * 1000)}${isOpen ? " open" : ""}`,
      figures: [...named.map((part) => /** @type {[string, string]} */ ([part.label, words(at(part))])), ["All", words(sum(live.parts.map(at)))]],
    };
  }
  const table = document.getElementById(svg.dataset.hover ?? "");
  const row = table?.querySelector(`tr[data-i="${i}"]`);
  if (!table || !row) return null;
  const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent ?? "");
  const [head, ...cells] = [...row.children].map((cell) => cell.textContent ?? "");
  return { head: head ?? "", figures: cells.map((cell, at) => [heads[at + 1] ?? "", cell]) };
}

/**
 * The places of which the table says something, in order: a day that is not over has hours without any.
 * @param {SVGSVGElement} svg
 */
function places(svg) {
  const live = drawn.get(svg);
  if (live !== undefined) return [...Array(Math.max(0, ...live.parts.map((part) => part.values.length))).keys()];
  const rows = document.getElementById(svg.dataset.hover ?? "")?.querySelectorAll("tr[data-i]") ?? [];
  return [...rows].map((row) => Number(row.getAttribute("data-i"))).sort((a, b) => a - b);
}

/** @param {SVGSVGElement} svg */
function clear(svg) {
  svg.parentElement?.querySelector(".hover-x")?.remove();
  svg.parentElement?.querySelector(".tip")?.remove();
  delete svg.dataset.at;
}

/**
 * @param {SVGSVGElement} svg
 * @param {number} i
 */
function show(svg, i) {
  const n = Number(svg.dataset.n);
  const at = Math.max(0, Math.min(n - 1, i));
  if (svg.dataset.at === String(at)) return;
  const found = wordsOf(svg, at);
  clear(svg);
  if (found === null) return;
  svg.dataset.at = String(at);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.append(Object.assign(document.createElement("b"), { textContent: found.head }));
  for (const words of found.figures) {
    const entry = document.createElement("span");
    entry.append(...words.map((textContent) => Object.assign(document.createElement("span"), { textContent })));
    tip.append(entry);
  }
  const place = svg.parentElement;
  if (place === null) return;
  const line = document.createElement("div");
  line.className = "hover-x";
  place.append(line, tip);
  // Beside the line, on the side that has room. A property of the object model, which the policy of the page allows.
  const box = svg.getBoundingClientRect();
  const own = place.getBoundingClientRect();
  const middle = box.left - own.left + ((at + 0.5) / n) * box.width;
  line.style.left = `${middle}px`;
  const left = middle > own.width / 2 ? middle - tip.offsetWidth - 12 : middle + 12;
  tip.style.left = `${Math.max(0, Math.min(left, own.width - tip.offsetWidth))}px`;
}

/** Listens, for the whole page and for good. */
export function hover() {
  // Drawn again under the pointer: what is said goes with it.
  document.addEventListener("drawn", (event) => {
    const svg = chartOf(event.target);
    const at = svg?.dataset.at;
    if (!svg || at === undefined) return;
    delete svg.dataset.at;
    show(svg, Number(at));
  });
  document.addEventListener("pointermove", (event) => {
    const svg = chartOf(event.target);
    for (const other of document.querySelectorAll("svg[data-at]")) {
      if (other !== svg && other !== document.activeElement) clear(/** @type {SVGSVGElement} */ (other));
    }
    if (svg === null) return;
    const box = svg.getBoundingClientRect();
    show(svg, Math.floor(((event.clientX - box.left) / box.width) * Number(svg.dataset.n)));
  });
  document.addEventListener("keydown", (event) => {
    const svg = chartOf(document.activeElement);
    if (svg === null) return;
    if (event.key === "Escape") clear(svg);
    const known = places(svg);
    const at = Number(svg.dataset.at ?? known.at(-1));
    const to = {
      ArrowLeft: known.filter((place) => place < at).at(-1) ?? known[0],
      ArrowRight: known.find((place) => place > at) ?? known.at(-1),
      Home: known[0],
      End: known.at(-1),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(svg, to);
  });
  // The keyboard has come to a chart: its newest point shows that arrows lead on.
  document.addEventListener("focusin", (event) => {
    const svg = chartOf(event.target);
    const newest = svg === null ? undefined : places(svg).at(-1);
    if (svg !== null && newest !== undefined && svg.matches(":focus-visible")) show(svg, newest);
  });
  document.addEventListener("focusout", (event) => {
    const svg = chartOf(event.target);
    if (svg !== null) clear(svg);
  });
}
