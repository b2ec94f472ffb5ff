// An archive that is dropped or picked goes up with its progress shown; an import that is under way is followed live.
// Without this script the form posts by itself, and a page that is loaded again shows how far it is.
"use strict";

const WORDS = {
  pending: "Waiting for its turn",
  running: "Being imported",
  completed: "Imported",
  completed_with_errors: "Imported, with errors",
  failed: "Failed",
};
const number = new Intl.NumberFormat("en");

const megabytes = (bytes) => `${number.format(Math.max(1, Math.round(bytes / 1e6)))} MB`;

const upload = (form, file) => {
  const [said, holder] = [form.querySelector("[data-said]"), form.querySelector("[data-progress]")];
  const bar = holder.querySelector("progress");
  const fail = (text) => {
    holder.hidden = true;
    form.removeAttribute("aria-busy");
    form.classList.add("failed");
    said.textContent = text;
  };
  form.classList.remove("failed");
  if (file.size > Number(form.dataset.most)) return fail(`${file.name} is larger than what is taken here.`);
  const request = new XMLHttpRequest();
  request.open("POST", `${form.dataset.upload}?name=${encodeURIComponent(file.name.slice(-200))}`);
  request.setRequestHeader("Content-Type", file.name.toLowerCase().endsWith(".json") ? "application/json" : "application/zip");
  request.responseType = "json";
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    bar.value = event.loaded / event.total;
    if (event.loaded === event.total) said.textContent = "Looking at it…";
  });
  request.addEventListener("load", () => {
    if (request.status === 202) location.assign(`/imports/${request.response.import_id}`);
    else if (request.status === 401) location.assign("/sign-in?return_to=%2Fimports");
    else fail(request.response?.detail ?? "That was not taken.");
  });
  request.addEventListener("error", () => fail("The upload broke off. Try again."));
  form.setAttribute("aria-busy", "true");
  holder.hidden = false;
  bar.value = 0;
  said.textContent = `Sending ${file.name}, ${megabytes(file.size)}…`;
  request.send(file);
  return undefined;
};

document.querySelectorAll("form[data-upload]").forEach((form) => {
  const input = form.querySelector("input[type=file]");
  form.querySelector("button").hidden = true;
  form.querySelector("[data-drop-text] strong").textContent = "Drop an archive here";
  const take = (files) => {
    if (form.getAttribute("aria-busy") === "true" || files.length === 0) return;
    upload(form, files[0]);
    input.value = "";
  };
  input.addEventListener("change", () => take(input.files));
  ["dragenter", "dragover"].forEach((name) => form.addEventListener(name, (event) => {
    event.preventDefault();
    form.classList.add("over");
  }));
  ["dragleave", "drop"].forEach((name) => form.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === "drop" || !form.contains(event.relatedTarget)) form.classList.remove("over");
  }));
  form.addEventListener("drop", (event) => take(event.dataTransfer.files));
  // A file that misses the zone must not replace the page.
  ["dragover", "drop"].forEach((name) => document.addEventListener(name, (event) => event.preventDefault()));
});

const show = (place, told) => {
  place.querySelectorAll("[data-status]").forEach((each) => { each.textContent = WORDS[told.status]; });
  place.querySelectorAll("[data-bar]").forEach((each) => {
    each.max = Math.max(1, told.bytes_total);
    each.value = told.bytes_read;
  });
  place.querySelectorAll("[data-said]").forEach((each) => {
    // In tens: a screen reader tells each change.
    const tenths = Math.floor(10 * told.bytes_read / Math.max(1, told.bytes_total));
    if (told.status === "running") each.textContent = `${tenths * 10} % read`;
  });
  [place, ...document.querySelectorAll("[data-mirrors]")].forEach((each) => each.querySelectorAll("[data-field]").forEach((field) => {
    field.textContent = number.format(told[field.dataset.field]);
  }));
};

// A user may hold six streams; a page that lists more imports under way is loaded again when one of these is done.
[...document.querySelectorAll("[data-events]")].slice(0, 3).forEach((place) => {
  const source = new EventSource(place.dataset.events);
  source.addEventListener("progress", (event) => show(place, JSON.parse(event.data)));
  source.addEventListener("done", (event) => {
    source.close();
    show(place, JSON.parse(event.data));
    location.replace(location.pathname + location.search);
  });
});
