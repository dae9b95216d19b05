/* What a search finds first: the lessons, then the words of the course, then the code. */
var Scorer = {
  score: ([page, , , , score]) =>
    score + (page.startsWith("reference/") ? -20 : page.startsWith("lessons/") ? 20 : 10),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
