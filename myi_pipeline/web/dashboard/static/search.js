// Suggestions below the search box. Without this script the box leads to the page of the search all the same.
"use strict";

document.querySelectorAll("[data-suggestions]").forEach((place) => {
  const box = place.querySelector("input");
  const list = document.createElement("ul");
  const pages = {
    artist: (id) => `/artists/${id}`, album: (id) => `/albums/${id}`, track: (id) => `/tracks/${id}`, show: (id) => `/shows/${id}`,
  };
  let [timer, asking, chosen] = [0, null, -1];

  list.id = "suggestions";
  list.hidden = true;
  for (const [name, value] of [["role", "listbox"], ["aria-label", "Suggestions"]]) list.setAttribute(name, value);
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id], ["aria-expanded", "false"]]) {
    box.setAttribute(name, value);
  }
  place.append(list);

  const close = () => {
    clearTimeout(timer);
    asking?.abort();
    list.hidden = true;
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };

  const choose = (number) => {
    chosen = number;
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
    if (chosen < 0) box.removeAttribute("aria-activedescendant");
    else box.setAttribute("aria-activedescendant", list.children[chosen].id);
  };

  const show = (rows) => {
    list.replaceChildren(...rows.map((row, number) => {
      const [item, name, more] = ["li", "span", "span"].map((each) => document.createElement(each));
      item.id = `suggestion-${number}`;
      item.dataset.to = pages[row.kind](row.id);
      item.setAttribute("role", "option");
      name.textContent = row.name ?? "Unknown";
      more.textContent = row.kind === "artist" ? "artist" : `${row.kind}${row.artist_name ? ` by ${row.artist_name}` : ""}`;
      more.className = "unit";
      item.append(name, more);
      return item;
    }));
    list.hidden = rows.length === 0;
    box.setAttribute("aria-expanded", String(!list.hidden));
    choose(-1);
  };

  const ask = async () => {
    asking?.abort();
    const typed = box.value.trim();
    if (!typed) return close();
    asking = new AbortController();
    try {
      const query = new URLSearchParams({ q: typed, limit: "4" });
      const answer = await fetch(`/v1/me/search?${query}`, { headers: { Accept: "application/json" }, signal: asking.signal });
      const { data } = answer.ok ? await answer.json() : { data: [] };
      if (document.activeElement === box) show(data.filter((row) => row.kind in pages).slice(0, 8));
    } catch {
      list.hidden = true; // Typed on, or no connection: the button still works.
    }
  };

  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 150);
  });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") close();
    else if (step && !list.hidden) {
      event.preventDefault();
      const count = list.children.length;
      choose((chosen + 1 + step + count + 1) % (count + 1) - 1);
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      location.assign(list.children[chosen].dataset.to);
    }
  });
  box.addEventListener("blur", close);
  // Before the box loses the focus, and the list is gone.
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const item = event.target.closest("li");
    if (item) location.assign(item.dataset.to);
  });
});
