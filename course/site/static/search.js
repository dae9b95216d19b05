/* Each page that a search finds is quoted, from texts that came with this page: a page opened from
   a file may not fetch others. */
"use strict";

(() => {
  const BEFORE = 80; // letters of an excerpt around the first word found
  const AFTER = 160;
  const stemmer = new Stemmer();
  const query = new URLSearchParams(location.search).get("q") ?? "";
  const stems = splitQuery(query.toLowerCase())
    .filter((word) => !stopwords.has(word))
    .map((word) => stemmer.stemWord(word));
  const known = new Map(); // a word, and which of the stems it has

  function stemOf(word) {
    const low = word.toLowerCase();
    if (!known.has(low)) {
      known.set(low, stems.find((stem) => stemmer.stemWord(low) === stem || low.startsWith(stem)));
    }
    return known.get(low);
  }

  const found = (text) =>
    [...text.matchAll(/[\p{L}\p{N}_]+/gu)].filter((match) => stemOf(match[0]));

  function quote(text, matches) {
    const start = Math.max(0, text.lastIndexOf(" ", Math.max(0, matches[0].index - BEFORE)));
    const end = text.indexOf(" ", Math.min(text.length, matches[0].index + AFTER));
    const stop = end < 0 ? text.length : end;
    const quoted = document.createElement("p");
    quoted.className = "excerpt";
    let at = start;
    if (start > 0) quoted.append("…");
    for (const match of matches.filter(({ index }) => index < stop)) {
      const mark = document.createElement("mark");
      mark.textContent = match[0];
      quoted.append(text.slice(at, match.index), mark);
      at = match.index + match[0].length;
    }
    quoted.append(text.slice(at, stop), stop < text.length ? " …" : "");
    return quoted;
  }

  /* The first part of the page with most of the words, in its title if may be: quoted, and led to. */
  function dress(item) {
    const link = item.querySelector("a");
    const [page, place] = link.getAttribute("href").split("#");
    const parts = window.COURSE_TEXTS[page.replace(/\.html$/, "")] ?? [];
    let best = { worth: 0 };
    for (const [anchor, title, text] of parts) {
      if (place && anchor !== place) continue;
      const matches = found(text);
      const kinds = new Set(matches.map((match) => stemOf(match[0]))).size;
      const worth = kinds + (found(title).length ? 0.5 : 0);
      if (matches.length && worth > best.worth) best = { worth, anchor, title, text, matches };
    }
    if (!best.worth) return;
    if (!place) {
      link.href = `${page}#${best.anchor}`;
      if (best.title !== link.textContent) link.after(` › ${best.title}`);
    }
    item.append(quote(best.text, best.matches));
  }

  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.nodeName === "LI") dress(node);
    }
  }).observe(document.getElementById("search-results"), { childList: true, subtree: true });
})();
