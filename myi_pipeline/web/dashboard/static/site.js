// What every page may use: forms that ask before they do something that cannot be undone, selects that submit at once,
// charts that say what is pointed at.
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
