// The page: which of its views is shown, in which language, and how one moves from task to task.

import * as keys from "/keys.js";
import { Saver, insist } from "/server.js";
import { Panel, drawConversation, element } from "/task.js";

const LANGUAGES = ["ja", "en"];
const LANGUAGE = "jaxllm annotate/language";
const COMMENT_PAUSE = 400; // milliseconds after the last letter

const $ = (selector) => document.querySelector(selector);
const texts = await (await fetch("/texts.json")).json();
const state = {
  language: "en",
  view: "login",
  study: null, // what the server says of study and annotator
  saver: null,
  task: null, // the task that is shown
  panel: null,
  wanted: null, // stands for the task that is on its way
};

// ---- words

const say = (key, values = {}) =>
  Object.entries(values).reduce(
    (text, [name, value]) => text.replace(`{${name}}`, value),
    texts[state.language][key],
  );

const speak = (language) => {
  saveComment();
  state.language = language;
  window.localStorage?.setItem(LANGUAGE, language);
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((node) => {
    node.textContent = say(node.dataset.text);
  });
  document.querySelectorAll("[data-action=language]").forEach((button) => {
    button.lang = LANGUAGES.find((other) => other !== language);
  });
  if (state.study) {
    drawHeader();
    drawInstructions();
    drawKeys();
  }
  if (state.task) drawTask();
  if (state.view === "finished") drawFinished();
};

// ---- views

const VIEWS = ["login", "instructions", "task", "finished"];

const show = (view) => {
  state.view = view;
  VIEWS.forEach((name) => ($(`#${name}`).hidden = name !== view));
  $("header").hidden = view === "login";
  window.scrollTo(0, 0);
  const target = view === "login" ? $("#code") : $(`#${view} h1`);
  target.focus({ preventScroll: true });
};

const onOffline = (isOffline) => ($("#offline").hidden = !isOffline);

const request = (method, path, body) =>
  insist(onOffline, method, path, { body: body && JSON.stringify(body), token: state.study?.token });

const drawHeader = () => {
  const { study } = state;
  const { total, done } = study.progress;
  $("header .title").textContent = study.title || say("welcome");
  $("header .who").textContent = study.annotator;
  const bar = $(".how-far progress");
  Object.assign(bar, { max: Math.max(total, 1), value: done });
  bar.setAttribute("aria-label", say("progress", { total, done }));
  $(".how-far span").textContent = say("progress", { total, done });
};

const listOf = (entries) => {
  const list = element("dl");
  entries.forEach(([term, meaning]) => {
    list.append(element("dt", "", term), element("dd", "", meaning));
  });
  return list;
};

const drawInstructions = () => {
  const { study } = state;
  const own = $("#instructions .own");
  own.hidden = !study.instructions;
  own.textContent = study.instructions;
  const general = element("ul");
  const rules = [...(study.axes.length > 1 ? [say("separate")] : []), ...texts[state.language].general];
  rules.forEach((text) => general.append(element("li", "", text)));
  const axes = study.axes.map((axis) => [say(axis), say(`${axis}_about`)]);
  const parts = [element("p", "", say(`${study.kind}_intro`)), element("h2", "", say("axes")), listOf(axes)];
  if (study.kind === "rating") {
    const points = study.values.map((value) => [value, say(`value_${value}`)]);
    const scale = listOf(points);
    scale.className = "scale";
    parts.push(element("h2", "", say("scale")), scale);
  }
  $("#instructions .built-in").replaceChildren(...parts, general);
};

const drawKeys = () => {
  const places = state.study.values.map((_, index) => index + 1);
  const rows = [
    [places.join(" "), state.study.kind === "rating" ? "key_rate" : "key_choose"],
    ["0", "key_cannot"],
    ["Enter", "key_next"],
    ["N", "key_skip"],
    ["P", "key_previous"],
    ["U", "key_unrated"],
    ["C", "key_comment"],
    ["I", "key_instructions"],
    ["?", "key_help"],
  ];
  $("#keys tbody").replaceChildren(
    ...rows.map(([names, key]) => {
      const row = element("tr");
      const cell = element("td");
      names.split(" ").forEach((name) => cell.append(element("kbd", "", name)));
      row.append(cell, element("td", "", say(key)));
      return row;
    }),
  );
};

const drawFinished = () => {
  const { total, done } = state.study.progress;
  const left = total - done;
  $("#finished .thanks").textContent = left ? say("some_left", { left }) : say("all_done");
  $("#to-skipped").hidden = !left;
};

// ---- one task

const at = (position) => `tasks/${position}`;

const drawTask = () => {
  const { task, study, saver } = state;
  $("#task").dataset.kind = study.kind;
  const place = `${task.position} / ${study.progress.total}`;
  $("#task h1").textContent = place;
  document.title = place;
  $(".conversation").replaceChildren(...drawConversation(task, say));
  // The server may not know yet what was said last.
  study.axes.forEach((axis) => {
    const unsaved = saver.waiting(`${at(task.position)}/ratings/${axis}`);
    if (unsaved) task.ratings[axis] = unsaved.value;
  });
  state.panel = new Panel($(".panel .axes"), study, task.ratings, say, (axis, value) => {
    task.ratings[axis] = value;
    $(".missing").textContent = "";
    saver.put(`${at(task.position)}/ratings/${axis}`, { value });
  });
  $(".panel").classList.toggle("one-axis", study.axes.length === 1);
  $("#comment").maxLength = study.max_comment;
  $("#comment").value = saver.waiting(`${at(task.position)}/comment`)?.text ?? task.comment;
  $("#previous").disabled = task.position === 1;
  $(".missing").textContent = "";
};

const open = async (position) => {
  saveComment();
  if (position > state.study.progress.total) {
    Object.assign(state, { task: null, wanted: null });
    document.title = say("finished");
    drawFinished();
    show("finished");
    return;
  }
  // A key that is pressed before the task is there must not rate the one before it.
  const wanted = Symbol("the task asked for last");
  state.wanted = wanted;
  $("#task").inert = true;
  const reply = await request("GET", at(position));
  if (state.wanted !== wanted) return;
  state.wanted = null;
  $("#task").inert = false;
  if (reply.status === 401) return loggedOut();
  state.task = reply.content;
  drawTask();
  show("task");
};

const next = () => {
  const missing = state.panel.missing();
  if (!missing.length) return open(state.task.position + 1);
  $(".missing").textContent = say("missing", { axes: missing.map((axis) => say(axis)).join(" · ") });
  return state.panel.focus(missing[0]);
};

const toUnrated = () => open(state.study.progress.next ?? state.study.progress.total + 1);

let commentTimer;

const saveComment = () => {
  if (commentTimer === undefined) return;
  clearTimeout(commentTimer);
  commentTimer = undefined;
  state.task.comment = $("#comment").value;
  state.saver.put(`${at(state.task.position)}/comment`, { text: state.task.comment });
};

// ---- coming and going

const loggedOut = () => {
  const wasIn = state.study !== null;
  Object.assign(state, { study: null, saver: null, panel: null, task: null, wanted: null });
  $("#login .wrong").textContent = wasIn ? say("session_ended") : "";
  document.title = say("welcome");
  show("login");
};

const enter = async () => {
  const reply = await request("GET", "study");
  if (reply.status === 401) return loggedOut();
  state.study = reply.content;
  state.saver = new Saver(`${state.study.study}/${state.study.annotator}`, state.study.token, {
    offline: onOffline,
    loggedOut,
    state: (name) => {
      $("#saved").textContent = say(name);
      $("#saved").className = name;
    },
    progress: (content) => {
      if (!state.study) return;
      state.study.progress = content;
      drawHeader();
      if (state.view === "finished") drawFinished();
    },
  });
  speak(state.language);
  document.title = state.study.title || say("welcome");
  // Who has begun goes on where they left; who has not reads the instructions first.
  if (state.study.progress.done) return toUnrated();
  return show("instructions");
};

$("#login form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const reply = await request("POST", "login", { code: $("#code").value });
  if (reply.status !== 200) {
    $("#login .wrong").textContent = say("wrong_code");
    $("#code").select();
    return;
  }
  $("#code").value = "";
  $("#login .wrong").textContent = "";
  await enter();
});

$("#log-out").addEventListener("click", async () => {
  saveComment();
  await request("POST", "logout");
  state.study = null;
  loggedOut();
});

$("#task form").addEventListener("submit", (event) => {
  event.preventDefault();
  next();
});

$("#comment").addEventListener("input", () => {
  clearTimeout(commentTimer);
  commentTimer = setTimeout(saveComment, COMMENT_PAUSE);
});
$("#comment").addEventListener("blur", saveComment);
$("#comment").addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Escape") state.panel.focus();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) next();
});
window.addEventListener("pagehide", saveComment);

$("#begin").addEventListener("click", () => (state.task ? show("task") : toUnrated()));
$("#previous").addEventListener("click", () => open(state.task.position - 1));
$("#skip").addEventListener("click", () => open(state.task.position + 1));
$("#to-skipped").addEventListener("click", () => toUnrated());
$("#review").addEventListener("click", () => open(1));
$("#show-instructions").addEventListener("click", () => show("instructions"));
$("#show-keys").addEventListener("click", () => $("#keys").showModal());
$("#keys-on").checked = keys.areOn();
$("#keys-on").addEventListener("change", ({ target }) => keys.turn(target.checked));
document.querySelectorAll("[data-action=language]").forEach((button) => {
  button.addEventListener("click", () => speak(LANGUAGES.find((name) => name !== state.language)));
});

keys.listen(() => {
  if (!state.study || state.wanted) return {};
  const everywhere = {
    u: toUnrated,
    i: () => show("instructions"),
    "?": () => $("#keys").showModal(),
  };
  if (state.view !== "task") return everywhere;
  const choices = [0, ...state.study.values.map((_, index) => index + 1)].map((place) => [
    place,
    () => state.panel.press(place, $("#next")),
  ]);
  return {
    ...everywhere,
    ...Object.fromEntries(choices),
    n: () => open(state.task.position + 1),
    p: () => state.task.position > 1 && open(state.task.position - 1),
    c: () => $("#comment").focus(),
    enter: next,
  };
});

const preferred = window.localStorage?.getItem(LANGUAGE);
speak(preferred ?? (navigator.language.startsWith("ja") ? "ja" : "en"));
await enter();
