// Offers the browser's time zone where its clock is another than the one in which days are counted.
"use strict";

// One clock has several names: what counts is the time that they show, in summer and in winter.
const clocks = (zone) => {
  const format = new Intl.DateTimeFormat("en", { timeZone: zone, dateStyle: "short", timeStyle: "short" });
  const year = new Date().getFullYear();
  return [0, 6].map((month) => format.format(Date.UTC(year, month, 15, 12))).join();
};

const offer = () => {
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

offer();
document.addEventListener("grown", offer);
