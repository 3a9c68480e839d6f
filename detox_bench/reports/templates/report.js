// The report alone: languages are filtered, a link to a run opens it. Without it all is there.
(() => {
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    for (const each of document.querySelectorAll("[data-search]")) {
      const words = each.dataset.search.split(" ");
      each.hidden = wanted.length > 0 && !wanted.some((part) =>
        part === words[0] || (part.length > 2 && each.dataset.search.includes(part)));
    }
  });

  // A link to a run that is folded opens it.
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const folded = target && target.querySelector(":scope > details");
    if (folded) folded.open = true;
  };
  addEventListener("hashchange", open);
  open();
})();
