// Single keys, for those who rate hundreds of answers: off while one types, and by a setting.

const SETTING = "jaxllm annotate/keys";

export const areOn = () => window.localStorage?.getItem(SETTING) !== "off";

export const turn = (on) => window.localStorage?.setItem(SETTING, on ? "on" : "off");

const isTyping = (target) => target.closest?.("textarea, input:not([type=radio]), dialog");

// Enter presses a button and sends a form by itself.
const isPressing = (event) => event.key === "Enter" && event.target.closest?.("button, summary, form");

// An input method may hand on "１" or, with the key itself hidden, only its place.
const nameOf = (event) => {
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
  return event.key === "Process" && digit ? digit[1] : event.key.normalize("NFKC").toLowerCase();
};

// Calls actions[key]() for a key that is pressed alone.
export const listen = (actions) => {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!areOn() || isTyping(event.target) || isPressing(event)) return;
    const action = actions()[nameOf(event)];
    if (!action) return;
    event.preventDefault();
    action();
  });
};
