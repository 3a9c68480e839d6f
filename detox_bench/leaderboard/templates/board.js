// The board: what is filtered, sorted and shown stands in the address, so that it can be sent, and
// going back undoes it. Without this everything is there, in the order of ranks. Each group is a body
// of the table, and sorted within itself: whoever is not ranked never stands among those that are.
(() => {
  const table = document.getElementById("board"), form = document.getElementById("filters");
  if (!table || !form) return;
  const CHANGE = 3, NOTHING = "–";
  const names = ["text", "method", "language", "size", "licence"];
  const groups = [...table.tBodies].map((body) => ({ body, rows: [...body.querySelectorAll("tr[data-search]")] }));
  const rows = groups.flatMap((group) => group.rows), box = document.getElementById("filtering");
  const heat = new Map([...document.querySelectorAll("#heat tr[data-of]")].map((row) => [row.dataset.of, row]));
  const headings = [...table.tHead.querySelectorAll("tr.headings th")];
  const changes = rows.map((row) => row.cells[CHANGE]);
  const mean = changes.map((cell) => [cell.innerHTML, cell.dataset.sort]);
  const heading = headings[CHANGE].firstElementChild;
  const headingOfMean = heading.textContent;
  let shownLanguage = "";

  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);
  const part = (name, text) => {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  };
  const language = (code) => {
    if (code === shownLanguage) return;
    shownLanguage = code;
    heading.textContent = code ? `change of EMT, ${code}` : headingOfMean;
    rows.forEach((row, place) => {
      const cell = changes[place];
      if (!code) {
        [cell.innerHTML, cell.dataset.sort] = mean[place];
        return;
      }
      const found = JSON.parse(row.dataset.changes)[code];
      cell.dataset.sort = found ? found[0] : "";
      const text = part("span", found ? signed(found[0]) : NOTHING);
      text.className = "text";
      cell.replaceChildren(text);
      if (found && found[1] !== null) cell.append(part("small", `${signed(found[1])} to ${signed(found[2])}`));
      if (found && !found[3]) cell.append(part("small", "not counted"));
    });
  };

  const read = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const wanted = () => {
    const state = new URLSearchParams();
    for (const name of names) if (form.elements[name].value) state.set(name, form.elements[name].value);
    const column = headings.findIndex((each) => each.getAttribute("aria-sort") !== "none");
    if (column >= 0) {
      state.set("sort", column);
      if (headings[column].getAttribute("aria-sort") === "descending") state.set("way", "down");
    }
    return state;
  };

  const filter = () => {
    const values = Object.fromEntries(names.map((name) => [name, form.elements[name].value]));
    const words = values.text.toLowerCase().split(/\s+/).filter(Boolean);
    const same = ["method", "size", "licence"].filter((name) => values[name]);
    let count = 0;
    for (const row of rows) {
      row.hidden = same.some((name) => row.dataset[name] !== values[name]) ||
        words.some((word) => !row.dataset.search.includes(word));
      count += !row.hidden;
      if (heat.has(row.id)) heat.get(row.id).hidden = row.hidden;
    }
    for (const group of groups) group.body.hidden = group.rows.length > 0 && group.rows.every((row) => row.hidden);
    const all = count === rows.length ? "" : ` of ${rows.length}`;
    const none = count ? "" : ": nothing fits, clear the filters";
    document.getElementById("count").textContent = `${count}${all} ${rows.length === 1 ? "row" : "rows"}${none}.`;
  };
  const links = () => {
    for (const link of document.querySelectorAll("a.keep")) link.hash = location.hash.includes("=") ? location.hash : "";
  };

  const show = () => {
    const state = read();
    for (const name of names) {
      const field = form.elements[name];
      field.value = state.get(name) || "";
      if (field.selectedIndex === -1) field.value = "";
    }
    language(form.elements.language.value);
    filter();
    const column = Number.parseInt(state.get("sort") ?? "", 10);
    if (headings[column]) {
      table.dispatchEvent(new CustomEvent("sort", { detail: { column, falling: state.get("way") === "down" } }));
    } else {
      headings.forEach((each) => each.setAttribute("aria-sort", "none"));
      for (const group of groups) group.body.append(...group.rows);
    }
    links();
  };
  const write = (step) => {
    const hash = `#${wanted()}`;
    const now = hash === "#" ? location.pathname + location.search : hash;
    history[step ? "pushState" : "replaceState"](null, "", now);
    links();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    if (event.target.name === "text") return;
    language(form.elements.language.value);
    filter();
    const column = headings.findIndex((each) => each.getAttribute("aria-sort") !== "none");
    if (event.target.name === "language" && column === CHANGE) {
      const falling = headings[column].getAttribute("aria-sort") === "descending";
      table.dispatchEvent(new CustomEvent("sort", { detail: { column, falling } }));
    }
    write(true);
  });
  // A word that is typed is one step back, not one a letter.
  let typed = false;
  form.elements.text.addEventListener("input", () => {
    filter();
    write(!typed);
    typed = true;
  });
  form.elements.text.addEventListener("blur", () => { typed = false; });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    history.pushState(null, "", location.pathname + location.search);
    show();
  });
  table.addEventListener("sorted", () => write(true));
  addEventListener("popstate", show);
  addEventListener("hashchange", show);

  // A filter stands where the name of a section would: going to a section leaves it there.
  for (const link of document.querySelectorAll('nav a[href^="#"], a.skip')) {
    link.addEventListener("click", (event) => {
      if (!location.hash.includes("=")) return;
      event.preventDefault();
      const section = document.querySelector(link.hash);
      section.tabIndex = -1;
      section.focus({ preventScroll: true });
      section.scrollIntoView();
    });
  }

  const text = (cell) => {
    const link = cell.querySelector("a, .text");
    const own = (link || cell).textContent.trim();
    const details = cell.matches("td") ? [...cell.querySelectorAll("small")] : [];
    return details.length ? `${own} (${details.map((each) => each.textContent.trim()).join("; ")})` : own;
  };
  const lines = () => [
    headings.map((each) => each.textContent.trim()),
    ...[...table.querySelectorAll("tr[data-search]:not([hidden])")].map((row) => [...row.cells].map(text)),
  ];
  const kinds = {
    markdown: () => {
      const [head, ...rest] = lines().map((line) => `| ${line.map((each) => each.replace(/([\\|`*_<>[\]])/g, "\\$1")).join(" | ")} |`);
      return [head, `|${" --- |".repeat(headings.length)}`, ...rest].join("\n");
    },
    tsv: () => lines().map((line) => line.map((each) => each.replace(/\s+/g, " ")).join("\t")).join("\n"),
  };
  for (const [id, make] of Object.entries(kinds)) {
    const button = document.getElementById(id), label = button.textContent;
    button.addEventListener("click", async () => {
      const made = `${make()}\n`;
      document.querySelector(".copied")?.remove();
      try {
        await navigator.clipboard.writeText(made);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = label; }, 2000);
      } catch {
        const area = document.createElement("textarea");
        area.className = "copied";
        area.readOnly = true;
        area.setAttribute("aria-label", "The table, to be copied");
        area.value = made;
        box.after(area);
        area.select();
      }
    });
  }

  box.hidden = false;
  show();
  // A phone's first screen is for the table.
  if (matchMedia("(max-width: 40rem)").matches && !form.elements.text.value) box.open = false;
})();
