// Tables sorted by a click on a column, or by Enter and Space: floors stay last, so does what is
// missing.
"use strict";

document.querySelectorAll("table.sortable").forEach((table) => {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;

  const isFloor = (row) => row.matches(".majority, .control");

  const sort = (column, direction) => {
    const isNumber = heads[column].dataset.sort === "number";
    const compare = (one, other) => {
      const [first, second] = [valueOf(one, column), valueOf(other, column)];
      const floors = isFloor(one) - isFloor(other);
      const missing = (first === "") - (second === "");
      if (floors || missing) return floors || missing;
      return direction * (isNumber ? first - second : first.localeCompare(second, "ja"));
    };
    body.append(...[...body.rows].sort(compare));
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].ariaSort = direction > 0 ? "ascending" : "descending";
  };

  heads.forEach((head, column) => {
    head.querySelector("button")?.addEventListener("click", () => {
      // Scores are asked for best first, ranks and names from the first on.
      const usual = head.dataset.best === "highest" ? "descending" : "ascending";
      const other = usual === "descending" ? "ascending" : "descending";
      const direction = head.ariaSort === usual ? other : usual;
      sort(column, direction === "ascending" ? 1 : -1);
    });
  });
});
