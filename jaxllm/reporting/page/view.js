// Draws a view: its items one below the other, again after a change of language.
"use strict";

(() => {
  const items = JSON.parse(document.getElementById("items").textContent);
  const main = document.getElementById("view");

  const draw = () => {
    if (typeof plots !== "undefined") plots.clear();
    main.replaceChildren();
    items.forEach((item) => {
      const article = make("article", { className: "board" });
      main.append(article); // first, so that charts find their width
      if (item.title) article.append(make("h2", { className: "of" }, item.title));
      drawItem(item, article);
    });
  };

  words.onChange(draw);
  draw();
})();
