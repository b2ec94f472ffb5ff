// What is playing, for as long as the page is looked at. Without this script nothing of it is shown.
"use strict";

const place = document.querySelector("[data-now-playing]");

if (place) {
  const [word, what, bar] = ["word", "what", "progress"].map((name) => place.querySelector(`[data-${name}]`));
  let [told, heardAt, timer, ticking] = [null, 0, 0, 0];

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
    const title = told.title ?? names[told.kind] ?? "Something that Spotify does not name";
    what.textContent = told.artists.length ? `${title} – ${told.artists.join(", ")}` : title;
    bar.hidden = !told.duration_ms || told.progress_ms === null;
    progress();
  };

  const look = async () => {
    clearTimeout(timer);
    let wait_s = 60;
    try {
      const answer = await fetch(place.dataset.nowPlaying, { headers: { Accept: "application/json" } });
      if (answer.status === 401) return; // Signed out: the next page says so.
      if (answer.ok) {
        told = await answer.json();
        heardAt = Date.now() - Math.max(0, Date.now() - Date.parse(told.read_at ?? new Date().toISOString()));
        wait_s = Math.min(Math.max(told.ask_again_s, 5), 300);
        show();
      }
    } catch {
      place.hidden = true; // No connection: what was playing may not any more.
    }
    if (document.visibilityState === "visible") timer = setTimeout(look, wait_s * 1000);
  };

  const follow = () => {
    clearTimeout(timer);
    clearInterval(ticking);
    if (document.visibilityState !== "visible") return;
    ticking = setInterval(progress, 1000);
    look();
  };

  document.addEventListener("visibilitychange", follow);
  follow();
}
