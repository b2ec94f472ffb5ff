// What every page may use: forms that ask before they do something that cannot be undone, selects that submit at once.
"use strict";

document.addEventListener("submit", (event) => {
  const question = event.target.dataset?.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

document.querySelectorAll("form[data-submits-itself]").forEach((form) => {
  form.querySelectorAll("button[type=submit]").forEach((button) => { button.hidden = true; });
  form.addEventListener("change", () => form.requestSubmit());
});

document.querySelector("header.site [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
