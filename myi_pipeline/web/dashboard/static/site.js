// What every page may use: forms that ask before they do something that cannot be undone, selects that submit at once,
// charts that say what is pointed at, the browser's time zone.
"use strict";

document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

document.querySelectorAll("form[data-submits-itself]").forEach((form) => {
  form.querySelectorAll("button[type=submit]").forEach((button) => { button.hidden = true; });
  form.addEventListener("change", () => form.requestSubmit());
});

// What a bar or a square says when it is pointed at or tapped stands in its figure at once.
document.querySelectorAll("figure [data-readout]").forEach((place) => {
  const usual = [...place.childNodes];
  const figure = place.closest("figure");
  figure.addEventListener("pointerover", ({ target }) => {
    const title = [target, target.parentElement].map((each) => each.querySelector(":scope > title")).find(Boolean);
    place.replaceChildren(...(title ? [title.textContent] : usual));
  });
  figure.addEventListener("pointerleave", ({ pointerType }) => {
    if (pointerType === "mouse") place.replaceChildren(...usual);
  });
});

// A menu closes when something else is pointed at, when the focus leaves it, and by Escape.
document.querySelectorAll("details.menu").forEach((menu) => {
  const close = () => { menu.open = false; };
  document.addEventListener("pointerdown", ({ target }) => { if (!menu.contains(target)) close(); });
  menu.addEventListener("focusout", ({ relatedTarget }) => { if (relatedTarget && !menu.contains(relatedTarget)) close(); });
  menu.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && menu.open) {
      close();
      menu.querySelector("summary").focus();
    }
  });
});

// A page of which the answer is still being made asks again, while somebody looks at it.
document.querySelectorAll("[data-again-in]").forEach((each) => {
  setInterval(() => { if (!document.hidden) location.reload(); }, Number(each.dataset.againIn) * 1000);
});

// Where the browser's clock is another than the one in which days are counted, its zone is offered. One clock has several
// names: what counts is the time that they show, in summer and in winter.
const clocks = (zone) => {
  const format = new Intl.DateTimeFormat("en", { timeZone: zone, dateStyle: "short", timeStyle: "short" });
  const year = new Date().getFullYear();
  return [0, 6].map((month) => format.format(Date.UTC(year, month, 15, 12))).join();
};

const offerZone = () => {
  const form = document.querySelector("form[data-zone]");
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!form || !here) return;
  try {
    if (clocks(here) === clocks(form.dataset.zone)) return;
  } catch {
    return; // A zone that this browser does not know cannot be compared.
  }
  form.querySelector("[data-zone-name]").textContent = here;
  const button = form.querySelector("[data-zone-button]");
  button.value = here;
  button.textContent = `Use ${here}`;
  form.hidden = false;
};

offerZone();
document.addEventListener("grown", offerZone);
