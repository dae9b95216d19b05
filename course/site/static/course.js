/* The way to the other language leads to the same place: the last one that the reader passed. */
"use strict";

for (const link of document.querySelectorAll(".course-ways a[rel=alternate]")) {
  const page = link.getAttribute("href");
  const follow = () => {
    const passed = [...document.querySelectorAll("article [id^=cell-]")].filter(
      (place) => place.getBoundingClientRect().top < innerHeight / 3,
    );
    const place = scrollY > 0 && passed.length ? `#${passed.at(-1).id}` : "";
    link.href = page + place;
  };
  for (const event of ["pointerdown", "focus", "pointerenter"]) link.addEventListener(event, follow);
}
