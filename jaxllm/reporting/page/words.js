// The words of a page in the reader's language, which a button changes.
"use strict";

const words = (() => {
  const LANGUAGE = "jaxllm report/language";
  // A page of its own carries the texts, those of a site have them from a script.
  const texts = globalThis.reportTexts ?? JSON.parse(document.getElementById("texts").textContent);
  const button = document.getElementById("language");

  // A page opened as a file may have no storage, or one that refuses.
  const stored = () => {
    try {
      return localStorage.getItem(LANGUAGE);
    } catch {
      return null;
    }
  };
  const store = (value) => {
    try {
      localStorage.setItem(LANGUAGE, value);
    } catch {
      // The choice then lasts as long as the page.
    }
  };

  const preferred = () => (navigator.language.startsWith("ja") ? "ja" : "en");
  // Without a button to change it, a page stays in the language that it is written in.
  let language = button === null ? "en" : stored() in texts ? stored() : preferred();

  const say = (key, values = {}) =>
    Object.entries(values).reduce(
      (text, [name, value]) => text.replaceAll(`{${name}}`, () => value), texts[language][key]);

  // What a category's letters stand for, or nothing for a name of one's own.
  const category = (name) => texts[language][`category_${name}`] ?? "";

  const PARTS = { text: "textContent", title: "title", label: "ariaLabel" };

  const speak = () => {
    document.documentElement.lang = language;
    Object.entries(PARTS).forEach(([mark, part]) => {
      document.querySelectorAll(`[data-${mark}]`).forEach((node) => {
        node[part] = say(node.dataset[mark]);
      });
    });
    if (button) button.lang = language === "ja" ? "en" : "ja";
  };

  // After each change of the language calls `changed`.
  const onChange = (changed) => button?.addEventListener("click", changed);

  button?.addEventListener("click", () => {
    language = language === "ja" ? "en" : "ja";
    store(language);
    speak();
  });
  speak();

  return { say, category, onChange };
})();
