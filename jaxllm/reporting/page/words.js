// The words of a page in the reader's language, which a button changes.
"use strict";

const words = (() => {
  const LANGUAGE = "jaxllm report/language";
  const texts = JSON.parse(document.getElementById("texts").textContent);

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

  const preferred = navigator.language.startsWith("ja") ? "ja" : "en";
  let language = stored() in texts ? stored() : preferred;

  const say = (key, values = {}) =>
    Object.entries(values).reduce(
      (text, [name, value]) => text.replaceAll(`{${name}}`, () => value), texts[language][key]);

  // What a category's letters stand for, or nothing for a name of one's own.
  const category = (name) => texts[language][`category_${name}`] ?? "";

  const speak = () => {
    document.documentElement.lang = language;
    document.querySelectorAll("[data-text]").forEach((node) => {
      node.textContent = say(node.dataset.text);
    });
  };

  // Speaks now, and after each change of the language calls `changed`.
  const start = (button, changed) => {
    const name = () => (button.lang = language === "ja" ? "en" : "ja");
    button.addEventListener("click", () => {
      language = language === "ja" ? "en" : "ja";
      store(language);
      speak();
      name();
      changed();
    });
    speak();
    name();
  };

  return { say, category, start };
})();
