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
const TYPES = { zip: "application/zip", json: "application/json" };
const number = new Intl.NumberFormat("en");

const megabytes = (bytes) => `${number.format(Math.max(1, Math.round(bytes / 1e6)))} MB`;

// What the server said of one file: where its import is, or why it was not taken.
const send = (form, file, told) => new Promise((resolve) => {
  if (file.size > Number(form.dataset.most)) return resolve({ refused: "it is larger than what is taken here." });
  const request = new XMLHttpRequest();
  const zone = form.elements.time_zone.value.trim();
  const query = new URLSearchParams({ name: file.name.slice(-200), ...(zone && { time_zone: zone }) });
  request.open("POST", `${form.dataset.upload}?${query}`);
  request.setRequestHeader("Content-Type", TYPES[file.name.toLowerCase().split(".").pop()] ?? "text/plain");
  request.responseType = "json";
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) told(event.loaded / event.total);
  });
  request.addEventListener("load", () => {
    if (request.status === 202) resolve({ place: `/imports/${request.response.import_id}` });
    else if (request.status === 401) resolve({ place: "/sign-in?return_to=%2Fimports", ends: true });
    else resolve({ refused: request.response?.detail ?? "that was not taken." });
  });
  request.addEventListener("error", () => resolve({ refused: "the upload broke off. Try again." }));
  request.send(file);
  return undefined;
});

// One after the other: what is handed in together is either taken or named with its reason.
const upload = async (form, files) => {
  const [said, holder] = [form.querySelector("[data-said]"), form.querySelector("[data-progress]")];
  const bar = holder.querySelector("progress");
  const [places, refusals] = [[], []];
  form.classList.remove("failed");
  form.setAttribute("aria-busy", "true");
  holder.hidden = false;
  for (const [index, file] of files.entries()) {
    const which = files.length > 1 ? ` (${index + 1} of ${files.length})` : "";
    bar.value = 0;
    said.textContent = `Sending ${file.name}, ${megabytes(file.size)}${which}…`;
    const answer = await send(form, file, (share) => {
      bar.value = share;
      if (share === 1) said.textContent = `Looking at ${file.name}${which}…`;
    });
    if (answer.ends) return location.assign(answer.place);
    if (answer.refused) refusals.push(`${file.name}: ${answer.refused}`);
    else places.push(answer.place);
  }
  if (refusals.length === 0) return location.assign(places.length === 1 ? places[0] : "/imports");
  holder.hidden = true;
  form.removeAttribute("aria-busy");
  form.classList.add("failed");
  said.textContent = refusals.join(" ") + (places.length ? ` Taken: ${places.length}; load this page again to see.` : "");
  return undefined;
};

document.querySelectorAll("form[data-upload]").forEach((form) => {
  const input = form.querySelector("input[type=file]");
  input.multiple = true;
  form.querySelector("button").hidden = true;
  // A finger drops nothing.
  if (matchMedia("(pointer: fine)").matches) form.querySelector("[data-drop-text] strong").textContent += ", or drop it here";
  const take = (files) => {
    if (form.getAttribute("aria-busy") === "true" || files.length === 0) return;
    upload(form, [...files]);
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
  place.querySelectorAll("[data-field]").forEach((field) => {
    field.textContent = number.format(told[field.dataset.field]);
  });
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

// One import to its end, as the server words it. Once it was read the page has more to say: it is loaded again.
document.querySelectorAll("[data-stages]").forEach((place) => {
  const source = new EventSource(place.dataset.stages);
  const hear = (event) => {
    const { stage, markup } = JSON.parse(event.data);
    const wasOpen = ["waiting", "reading"].includes(place.dataset.stage);
    if (wasOpen && !["waiting", "reading"].includes(stage)) {
      source.close();
      location.replace(location.pathname + location.search);
      return;
    }
    place.dataset.stage = stage;
    place.innerHTML = markup;
  };
  source.addEventListener("stage", hear);
  source.addEventListener("over", (event) => {
    source.close();
    hear(event);
  });
});
