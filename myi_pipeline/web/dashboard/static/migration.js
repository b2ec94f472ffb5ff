// A move that is under way is followed live, as the server words it; where it comes to its next step the page has more to
// say, and is loaded again. Without this script the page loads itself again.
"use strict";

document.querySelectorAll("[data-stages]").forEach((place) => {
  const source = new EventSource(place.dataset.stages);
  source.addEventListener("stage", (event) => { place.innerHTML = JSON.parse(event.data).markup; });
  source.addEventListener("over", () => {
    source.close();
    location.replace(location.pathname + location.search);
  });
});
