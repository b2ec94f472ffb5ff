// A page that waits for plays to be counted grows by itself; without this script it is loaded again every five seconds.
"use strict";

let shown = document.querySelector("main").innerHTML;

const grow = async () => {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.assign(answer.url); // Signed out.
    if (answer.ok) {
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Whole again, with what else such a page loads.
      if (!next.querySelector("[data-counting]")) return location.reload();
      const markup = next.querySelector("main").innerHTML;
      if (markup !== shown) {
        document.querySelector("main").innerHTML = markup;
        document.dispatchEvent(new Event("grown"));
      }
      shown = markup;
    }
  } catch {
    // No connection now: later.
  }
  return setTimeout(grow, 5000);
};

setTimeout(grow, 5000);
