// What the test of accessible pages asks inside a page. Each answer is a list of what is wrong, in words.
globalThis.accessible = (() => {
  const all = (/** @type {string} */ selector) => [...document.querySelectorAll(selector)];
  const named = (/** @type {Element} */ e) =>
    `<${e.tagName.toLowerCase()}${e.id && `#${e.id}`} class="${e.getAttribute("class") ?? ""}"> ${e.textContent.trim().slice(0, 40)}`;
  const parents = function* (/** @type {Element | null} */ e) {
    for (; e !== null; e = e.parentElement) yield e;
  };
  const seen = (/** @type {Element} */ e) => e.checkVisibility({ visibilityProperty: true });
  // Only for those who listen: there is nothing to see.
  const spoken = (/** @type {Element} */ e) => [...parents(e)].some((p) => p.matches(".vh, .skip:not(:focus), thead"));

  /** Opens what is folded away, so that it is looked at as well. */
  const open = () => all("details").forEach((details) => (details.open = true));

  const RULES = { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
  const COLOURS = { type: "rule", values: ["color-contrast", "link-in-text-block"] };

  /** Every rule of WCAG 2.2 A and AA that a machine can judge, and good practice; or only those about colours. */
  const axe = async (/** @type {boolean} */ isColoursOnly) => {
    const rules = isColoursOnly ? {} : { "target-size": { enabled: true } };
    const runOnly = isColoursOnly ? COLOURS : RULES;
    const found = await globalThis.axe.run(document, { runOnly, rules, resultTypes: ["violations"] });
    const line = (v) => `axe ${v.id} (${v.impact}) ${v.nodes.length}×: ${v.nodes[0].html.slice(0, 200)} ${v.nodes[0].failureSummary}`;
    return found.violations.map(line);
  };

  /** Nothing leads the reader sideways, and no words are cut off. */
  const fits = (/** @type {number} */ width) => {
    const wrong = [];
    const wide = document.documentElement.scrollWidth;
    if (wide > width) wrong.push(`${wide} pixels wide`);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    while (walker.nextNode()) {
      const [text, e] = [walker.currentNode, walker.currentNode.parentElement];
      if (e === null || text.textContent.trim() === "" || !seen(e) || spoken(e)) continue;
      range.selectNodeContents(text);
      const box = range.getBoundingClientRect();
      if (box.width === 0) continue;
      let inside = { left: 0, right: width };
      for (const p of parents(e)) {
        const how = getComputedStyle(p).overflowX;
        if (how === "visible") continue;
        // What scrolls hides nothing; axe sees to it that keys can scroll it.
        if (how === "auto" || how === "scroll") inside = { left: -1e9, right: 1e9 };
        else if (p.tagName !== "BODY" && inside.right < 1e9) inside = p.getBoundingClientRect();
        break;
      }
      if (box.left < inside.left - 1 || box.right > inside.right + 1) wrong.push(`cut off: ${named(e)}`);
    }
    return wrong;
  };

  /** The words of a chart do not run into each other. */
  const labels = () => {
    const wrong = [];
    for (const drawing of all("main .chart, .wchart")) {
      const texts = [...drawing.querySelectorAll("text")].filter(seen);
      const boxes = texts.map((text) => text.getBoundingClientRect());
      for (let i = 0; i < texts.length; i++) {
        for (let j = i + 1; j < texts.length; j++) {
          const [a, b] = [boxes[i], boxes[j]];
          const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          // A line of text is higher than its letters.
          if (x > 1 && y > 0.4 * Math.min(a.height, b.height)) wrong.push(`one over another: ${texts[i].textContent} and ${texts[j].textContent}`);
        }
      }
    }
    return [...new Set(wrong)];
  };

  const reachable = () => {
    const can = "a[href], button, input, select, textarea, summary, [tabindex='0']";
    return all(can).filter((e) => seen(e) && !e.disabled && e.type !== "hidden" && (e.type !== "radio" || e.checked));
  };
  const visited = new Set();
  const unseen = new Set();

  /** Notes from now on what the keyboard comes to, and what does not show it. Says how much there is to come to. */
  const watch = () => {
    document.activeElement?.blur();
    document.addEventListener("focusin", ({ target }) => {
      visited.add(target);
      const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(target);
      const ring = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && !/, 0\)$/.test(outlineColor);
      const box = target.getBoundingClientRect();
      const onScreen = box.width > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
      if (!ring) unseen.add(`focus is not marked: ${named(target)}`);
      if (!onScreen) unseen.add(`focus is out of sight: ${named(target)}`);
    });
    return reachable().length;
  };
  const reached = () => [
    ...unseen,
    ...reachable().filter((e) => !visited.has(e)).map((e) => `not reached by Tab: ${named(e)}`),
  ];

  /** The figures and drawings of a page: what a reader without script has to find as well. */
  const content = () => ({
    figures: Object.fromEntries(all("[data-figure$='/today']").map((e) => [e.dataset.figure, e.dataset.value ?? e.textContent])),
    headings: all("h1, h2, h3").map((e) => e.textContent.trim()),
    drawings: all("main svg[role]").filter((e) => e.childElementCount > 0).length,
    tables: all("main table").length,
  });

  return { open, axe, fits, labels, watch, reached, content };
})();
