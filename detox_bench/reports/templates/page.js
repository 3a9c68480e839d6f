"use strict";
// What every page has: tables are sorted, the theme is changed, commands are copied.
(() => {
  const key = (row, column) => row.cells[column].dataset.sort;
  const compare = (one, two) => {
    if (one === "" || two === "") return (one === "") - (two === "");
    const numbers = [Number(one), Number(two)];
    return numbers.some(Number.isNaN) ? one.localeCompare(two) : numbers[0] - numbers[1];
  };

  // Each body within itself, below its heading. What does not exist is last, whichever way.
  const sort = (table, column, falling) => {
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => row.cells[column]?.dataset.sort !== undefined);
      rows.sort((a, b) => {
        const [one, two] = [key(a, column), key(b, column)];
        const way = falling && one !== "" && two !== "" ? -1 : 1;
        return way * compare(one, two);
      });
      body.append(...rows);
    }
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.querySelectorAll("tr.headings th")];
    const sortBy = (column, falling) => {
      headings.forEach((each) => each.setAttribute("aria-sort", "none"));
      headings[column].setAttribute("aria-sort", falling ? "descending" : "ascending");
      sort(table, column, falling);
    };
    table.addEventListener("sort", ({ detail }) => sortBy(detail.column, detail.falling));
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      if (heading.dataset.group) button.setAttribute("aria-label", `${heading.dataset.group}: ${heading.textContent}`);
      heading.replaceChildren(button);
      heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const falling = heading.getAttribute("aria-sort") === "ascending";
        sortBy(column, falling);
        table.dispatchEvent(new CustomEvent("sorted", { detail: { column, falling } }));
      });
    });
  }

  const root = document.documentElement, theme = document.getElementById("theme");
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  name();
  document.querySelector(".tools").hidden = false;

  for (const block of document.querySelectorAll(".code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(block.querySelector("code").textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(block.querySelector("code"));
        button.textContent = "Selected";
      }
    });
    block.append(button);
  }
})();
