// @ts-check
/**
 * The nearest point of a chart under the pointer or the arrow keys, in words from the table behind the chart.
 *
 * Invariant: what is said is what the table says, so there is one source for both. Nothing is drawn before somebody asks,
 * and parts of the page that are replaced need no new listeners.
 * @module
 */

/** @param {EventTarget | null} target */
function chartOf(target) {
  return target instanceof Element ? /** @type {SVGSVGElement | null} */ (target.closest("svg[data-hover]")) : null;
}

/**
 * The row of the table for a place in the chart.
 * @param {SVGSVGElement} svg
 * @param {number} i
 */
function rowOf(svg, i) {
  const table = document.getElementById(svg.dataset.hover ?? "");
  return table === null ? null : { table, row: table.querySelector(`tr[data-i="${i}"]`) };
}

/**
 * The places of which the table says something, in order: a day that is not over has hours without any.
 * @param {SVGSVGElement} svg
 */
function places(svg) {
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
  const found = rowOf(svg, at);
  clear(svg);
  if (found === null || found.row === null) return;
  svg.dataset.at = String(at);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  const heads = [...found.table.querySelectorAll("thead th")].map((head) => head.textContent ?? "");
  [...found.row.children].forEach((cell, column) => {
    if (column === 0) {
      tip.append(Object.assign(document.createElement("b"), { textContent: cell.textContent }));
      return;
    }
    const entry = document.createElement("span");
    entry.append(Object.assign(document.createElement("span"), { textContent: heads[column] ?? "" }));
    entry.append(Object.assign(document.createElement("span"), { textContent: cell.textContent }));
    tip.append(entry);
  });
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
