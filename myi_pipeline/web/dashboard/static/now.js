// What is playing and the last plays, told by the server for as long as the page is looked at. Without this script
// nothing is said of what is playing, and the last plays are those of the page.
"use strict";

const live = document.querySelector("[data-live]");

if (live) {
  const place = live.querySelector("[data-now-playing]");
  const plays = live.querySelector("[data-last-plays]");
  const [word, what, bar] = ["word", "what", "progress"].map((name) => place.querySelector(`[data-${name}]`));
  let [told, heardAt, ticking, source] = [null, 0, 0, null];

  const progress = () => {
    if (!told?.duration_ms || told.progress_ms === null) return;
    const since = told.state === "playing" ? Date.now() - heardAt : 0;
    bar.max = told.duration_ms;
    bar.value = Math.min(told.duration_ms, told.progress_ms + since);
  };

  const show = () => {
    const names = { ad: "An advertisement", episode: "An episode" };
    place.hidden = !["playing", "paused"].includes(told.state);
    word.textContent = told.state === "paused" ? "Paused" : "Playing now";
    const title = told.title ?? names[told.kind] ?? "Something that has no name here";
    what.textContent = told.artists.length ? `${title} – ${told.artists.join(", ")}` : title;
    bar.hidden = !told.duration_ms || told.progress_ms === null;
    progress();
  };

  const open = () => {
    source = new EventSource(live.dataset.live);
    source.addEventListener("now", (event) => {
      told = JSON.parse(event.data);
      heardAt = Date.now() - Math.max(0, Date.now() - Date.parse(told.read_at ?? new Date().toISOString()));
      show();
    });
    source.addEventListener("plays", (event) => {
      const { markup } = JSON.parse(event.data);
      // What is the same stays: somebody may be about to click on it.
      if (plays.dataset.shown !== markup) plays.innerHTML = markup;
      plays.dataset.shown = markup;
    });
    source.addEventListener("error", () => {
      place.hidden = true; // No connection: what was playing may not any more.
    });
  };

  const follow = () => {
    source?.close();
    clearInterval(ticking);
    if (document.visibilityState !== "visible") return;
    ticking = setInterval(progress, 1000);
    open();
  };

  document.addEventListener("visibilitychange", follow);
  follow();
}
