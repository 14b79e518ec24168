// Keys and clicks of the review page. What a key means is decided here, what it does on the server: each message
// names the item and the revision that was on the screen, so a key never decides a text that nobody has seen.
(() => {
  const $ = (selector) => document.querySelector(selector);
  const dialog = (name) => $(`#onko-${name}-dialog`);
  // A field in a dialog that has just been closed keeps the focus for a moment; it is none any more.
  const isField = (element) =>
    element.closest?.("input, textarea, select, [contenteditable]") && !element.closest("dialog:not([open])");
  const anyDialog = () => $("dialog[open]");

  function send(what, value, more) {
    const item = $("#onko-item");
    emitEvent("review", {
      do: what,
      value: value ?? null,
      item: item ? Number(item.dataset.item) : null,
      revision: item ? Number(item.dataset.revision) : 0,
      ...more,
    });
  }

  function open(name, field, value = "") {
    if (!$("#onko-item") && ["search", "reject", "comment", "span"].includes(name)) return;
    const box = dialog(name);
    if (!box || box.open) return;
    box.showModal();
    if (field) {
      const input = $(field);
      input.value = value;
      input.focus();
      input.select();
    }
  }

  // For the code of an axis, or one more metastasis of a document's tumour.
  function search(axis) {
    if (!$("#onko-item")) return;
    if (axis) send("axis", axis);
    const section = axis ? $(`.onko-axis[data-axis="${axis}"]`) : $(".onko-axis.active");
    searchFor(section.dataset.axis, section.getAttribute("aria-label"));
  }
  function searchFor(what, name) {
    $("#onko-query-axis").textContent = name;
    $("#onko-query-text").textContent = $(".onko-text .words").textContent;
    $("#onko-query").dataset.axis = what;
    open("search", "#onko-query");
    send("search", "", { axis: what });
  }

  const theme = () => {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("onko-theme", root.dataset.theme); } catch { /* storage is switched off */ }
  };
  const list = () => {
    const shut = document.body.classList.toggle("onko-list-open");
    $("#onko-list-button")?.setAttribute("aria-expanded", String(shut));
  };

  // The places of a document that tell its tumour: a fact may be marked in several pieces.
  function mark(number) {
    document.querySelectorAll(".onko-text mark.here").forEach((one) => one.classList.remove("here"));
    document.querySelectorAll(".onko-places [aria-current]").forEach((button) => button.removeAttribute("aria-current"));
    const marks = document.querySelectorAll(`.onko-text mark[data-fact="${number}"]`);
    marks.forEach((one) => one.classList.add("here"));
    $(`.onko-places [data-value="${number}"]`)?.setAttribute("aria-current", "true");
    return marks[0];
  }
  function place(number) {
    const first = mark(number);
    if (!first) return;
    read.place = number;
    first.scrollIntoView({ block: "center" });
    $(`.onko-places [data-value="${number}"]`)?.scrollIntoView({ block: "nearest" });
  }
  function nextPlace(step) {
    const there = [...new Set([...document.querySelectorAll(".onko-text mark[data-fact]")].map((mark) => Number(mark.dataset.fact)))];
    if (!there.length) return;
    const now = $(".onko-text mark.here");
    const at = now ? there.indexOf(Number(now.dataset.fact)) : step > 0 ? -1 : 0;
    place(there[(at + step + there.length) % there.length]);
  }

  // What is marked in the text, as places in it; the server counts characters, not UTF-16 units.
  function marked() {
    const words = $(".onko-text .words");
    const chosen = getSelection();
    if (!words || !chosen.rangeCount || chosen.isCollapsed) return null;
    const range = chosen.getRangeAt(0);
    if (!words.contains(range.startContainer) || !words.contains(range.endContainer)) return null;
    const before = document.createRange();
    before.selectNodeContents(words);
    before.setEnd(range.startContainer, range.startOffset);
    const start = [...before.toString()].length;
    return [start, start + [...range.toString()].length];
  }

  // The same by keyboard: in a field that shows a cursor and is never changed, so that keys and screen readers mark as
  // they do everywhere.
  function askSpan() {
    const item = $("#onko-item");
    if (!item) return;
    if (item.dataset.unsaved === "true") return send("add", null); // the server says what is to be done first
    const span = marked();
    open("span", "#onko-span", $(".onko-text .words").textContent);
    const field = $("#onko-span");
    const units = span?.map((n) => [...field.value].slice(0, n).join("").length) ?? [0, 0];
    field.setSelectionRange(...units);
    saySpan();
  }
  function saySpan() {
    const { value, selectionStart: start, selectionEnd: end } = $("#onko-span");
    const words = value.slice(start, end);
    $("#onko-span-said").textContent = words ? `Markiert: „${words}“` : "Noch nichts markiert";
  }
  function takeSpan() {
    const { value, selectionStart: start, selectionEnd: end } = $("#onko-span");
    if (start === end) return saySpan();
    dialog("span").close();
    const before = [...value.slice(0, start)].length;
    send("add", [before, before + [...value.slice(start, end)].length]);
  }
  // A browser may leave out the last of several changes in a row: that of a key is said once it is up.
  for (const change of ["selectionchange", "select", "keyup", "pointerup"]) {
    document.addEventListener(change, () => {
      if (document.activeElement?.id === "onko-span") saySpan();
    });
  }
  document.addEventListener("beforeinput", (event) => {
    if (event.target.id === "onko-span") event.preventDefault();
  });

  // Dialogs that the server fills: asked for as they open.
  const panel = (name, what, value) => {
    if (anyDialog()) return;
    send(what, value);
    open(name);
  };

  // A reason that could not be stored is offered again while its item is on the desk.
  let reason = { item: "", text: "" };

  const actions = {
    "ask-reject": () => open("reject", "#onko-reason", reason.item === $("#onko-item")?.dataset.item ? reason.text : ""),
    "ask-comment": () => open("comment", "#onko-comment", $(".onko-actions")?.dataset.comment),
    find: (value) => search(value),
    "find-metastasis": () => searchFor("metastasis", "Metastase"),
    place: (value) => place(Number(value)),
    help: () => open("help"),
    "ask-narrow": () => panel("narrow", "open-narrow"),
    "ask-statistics": () => panel("statistics", "open-statistics"),
    "ask-threshold": () => panel("threshold", "preview", 0.95),
    "ask-tables": () => {
      tell("");
      panel("tables", "open-tables");
    },
    preview: (value) => send("preview", Number(value)),
    "accept-previewed": () => {
      send("accept-previewed");
      dialog("threshold").close();
    },
    "confirm-anyway": () => {
      send("confirm-anyway");
      dialog("ask").close();
    },
    "narrow-none": () => {
      send("narrow", {});
      dialog("narrow").close();
    },
    add: () => send("add", marked()),
    "ask-span": askSpan,
    theme,
    list,
    show: (value) => {
      document.body.classList.remove("onko-list-open");
      send("show", Number(value));
    },
    choose: (value, element) => send("choose", Number(value), { axis: element.dataset.axis }),
  };
  const keys = {
    Enter: () => send("confirm"),
    x: actions["ask-reject"],
    u: () => send("undo"),
    c: actions["ask-comment"],
    a: actions.add,
    v: askSpan,
    w: () => send("later"),
    r: () => send("remove"),
    A: () => $("[data-do=ask-threshold]") && actions["ask-threshold"](),
    b: () => send("turn-side"),
    g: () => send("turn-certainty"),
    e: actions["ask-narrow"],
    z: actions["ask-statistics"],
    o: actions["ask-tables"],
    Escape: () => (document.body.classList.contains("onko-list-open") ? list() : send("reset")),
    i: () => send("axis", "icd10gm"),
    t: () => send("axis", "icdo_topography"),
    m: () => send("axis", "icdo_morphology"),
    ArrowLeft: () => send("turn", -1),
    ArrowRight: () => send("turn", 1),
    s: () => search(),
    j: () => send("next"),
    ArrowDown: () => send("next"),
    k: () => send("previous"),
    ArrowUp: () => send("previous"),
    n: () => nextPlace(1),
    p: () => nextPlace(-1),
    "/": () => {
      document.body.classList.add("onko-list-open");
      $("#onko-words").focus();
    },
    f: () => send("next-filter"),
    l: list,
    d: theme,
    "?": actions.help,
  };
  for (let n = 0; n < 10; n++) keys[n] = () => send("choose", n);
  const mayRepeat = new Set(["j", "k", "n", "p", "ArrowDown", "ArrowUp"]);

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (anyDialog()) {
      if (target.id === "onko-query") inSearch(event);
      if (target.id === "onko-span" && event.key === "Enter") {
        event.preventDefault();
        takeSpan();
      }
      return;
    }
    if (isField(target)) {
      if (event.key === "Escape") {
        target.blur();
        document.body.classList.remove("onko-list-open");
      }
      if (event.key === "Enter" && target.id === "onko-words") target.blur();
      return;
    }
    // A button that has the focus is what Enter and Space are for.
    if ((event.key === "Enter" || event.key === " ") && target.closest?.("button, a, summary")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    if (event.repeat && !mayRepeat.has(event.key)) return;
    act();
  });

  function inSearch(event) {
    const hits = [...document.querySelectorAll("#onko-hits [role=option]")];
    const at = hits.findIndex((hit) => hit.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!hits.length) return;
      select(hits, (at + (event.key === "ArrowDown" ? 1 : hits.length - 1)) % hits.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      // The hits of an earlier query must not be taken for those of this one.
      if (at >= 0 && $("#onko-hits").dataset.query === event.target.value) pick(hits[at]);
    }
  }

  function select(hits, at) {
    hits.forEach((hit, n) => hit.setAttribute("aria-selected", String(n === at)));
    hits[at].scrollIntoView({ block: "nearest" });
    $("#onko-query").setAttribute("aria-activedescendant", hits[at].id);
  }

  function pick(hit) {
    const axis = $("#onko-query").dataset.axis;
    if (axis === "metastasis") send("add-metastasis", hit.dataset.code);
    else send("pick", hit.dataset.code, { axis });
    dialog("search").close();
  }

  document.addEventListener("click", (event) => {
    const hit = event.target.closest("#onko-hits [role=option]");
    if (hit) return pick(hit);
    const offered = event.target.closest("[data-reason]");
    if (offered) {
      $("#onko-reason").value = offered.dataset.reason;
      $("#onko-reason").focus();
      return;
    }
    const box = event.target.closest("dialog[open]");
    if (event.target.closest("[data-close]") || event.target === box) return box?.close();
    const link = event.target.closest("a[data-fetch]");
    if (link) {
      event.preventDefault();
      give(link);
      return;
    }
    const button = event.target.closest("[data-do]");
    if (!button) return;
    // After a click with the mouse the keys belong to the page again, not to the button.
    if (event.detail > 0) button.blur();
    const act = actions[button.dataset.do];
    if (act) act(button.dataset.value, button);
    else send(button.dataset.do, button.dataset.value);
  });

  // A dialog's content that is rendered anew takes the focus with it: it goes back to the field that had it.
  let focused = "";
  document.addEventListener("focusin", (event) => {
    focused = event.target.closest("dialog[open]") ? event.target.id : "";
  });
  function keepFocus() {
    const box = focused && anyDialog();
    if (box && !box.querySelector(":focus")) document.getElementById(focused)?.focus();
  }

  // Told some time after the dialog was closed: by then the focus may be in the next one.
  document.addEventListener("close", (event) => {
    if (event.target.contains(document.activeElement)) document.activeElement.blur();
  }, true);

  document.addEventListener("submit", (event) => {
    if (event.target.id === "onko-reject-form") {
      reason = { item: $("#onko-item")?.dataset.item, text: $("#onko-reason").value.trim() };
      send("reject", reason.text);
    }
    if (event.target.id === "onko-read-form") {
      event.preventDefault(); // the dialog stays, and shows how far the reading is
      send("read-table", Object.fromEntries(new FormData(event.target)));
    }
    if (event.target.id === "onko-span-form") {
      event.preventDefault(); // it stays until something is marked
      takeSpan();
    }
    if (event.target.id === "onko-narrow-form") send("narrow", Object.fromEntries(new FormData(event.target)));
    if (event.target.id === "onko-comment-form") send("comment", $("#onko-comment").value.trim());
  });

  // What is wrong with a file on its way stands above the dialog's content, which the server renders anew.
  function tell(failed, said = "") {
    const line = $("#onko-upload-failed");
    line.textContent = failed;
    line.hidden = !failed;
    $("#onko-upload-said").textContent = said;
  }
  const base = () => $(".onko-tools form").getAttribute("action").replace(/abmelden$/, "");

  // A file goes in parts, each of which fits what the service takes at once. Gives its token, or throws what is wrong.
  const PART = 1 << 20;
  async function upload(file) {
    const token = [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, "0")).join("");
    let at = 0;
    do {
      let answer;
      try {
        answer = await fetch(`${base()}tabelle/${token}?at=${at}&name=${encodeURIComponent(file.name)}`, { method: "POST", body: file.slice(at, at + PART) });
      } catch {
        throw new Error("Der Dienst ist nicht zu erreichen; bitte wählen Sie die Datei noch einmal.");
      }
      const told = answer.headers.get("content-type")?.includes("json") ? await answer.json() : {};
      if (!answer.ok) throw new Error(told.error ?? "Die Datei konnte nicht übertragen werden; bitte melden Sie sich neu an.");
      at = told.size;
    } while (at < file.size);
    return token;
  }

  // One that cannot be taken is named and stops no other.
  async function bring(input, what) {
    const files = [...input.files];
    const tokens = [];
    const failed = [];
    tell("");
    for (const [n, file] of files.entries()) {
      tell(failed.join("\n"), files.length > 1 ? `${n + 1} von ${files.length} Dateien werden übertragen` : "");
      try {
        tokens.push(await upload(file));
      } catch (error) {
        failed.push(`${file.name}: ${error.message}`);
      }
    }
    tell(failed.join("\n"));
    input.value = "";
    if (tokens.length) what(tokens);
  }

  // What is given out is fetched, so that the page stays where it is and says in words why there is nothing.
  async function give(link) {
    if (link.getAttribute("aria-busy") === "true") return;
    link.setAttribute("aria-busy", "true");
    tell("", "Die Datei wird geschrieben …");
    try {
      const answer = await fetch(link.href);
      if (!answer.ok) throw new Error((await answer.text()).trim() || "Bitte melden Sie sich neu an.");
      const name = answer.headers.get("content-disposition")?.split("UTF-8''")[1] ?? "";
      const saved = document.createElement("a");
      saved.href = URL.createObjectURL(await answer.blob());
      saved.download = decodeURIComponent(name);
      saved.click();
      setTimeout(() => URL.revokeObjectURL(saved.href), 60_000);
      tell("");
    } catch (error) {
      tell(error instanceof TypeError ? "Der Dienst ist nicht zu erreichen." : error.message);
    } finally {
      link.removeAttribute("aria-busy");
    }
  }

  document.addEventListener("change", (event) => {
    const { id, files, form } = event.target;
    if (id === "onko-file" && files.length) bring(event.target, ([token]) => send("look", { token }));
    if (id === "onko-documents" && files.length) bring(event.target, (tokens) => send("read-documents", tokens));
    if (event.target.dataset?.look !== undefined) send("look", Object.fromEntries(new FormData(form)));
    const what = event.target.dataset?.choose;
    if (what) send(what, event.target.value);
  });

  // A choice that is not stored is kept where one moves on, and asked about where the page itself is left.
  addEventListener("beforeunload", (event) => {
    if ($("#onko-item")?.dataset.unsaved === "true") event.preventDefault();
  });

  let waiting = 0;
  document.addEventListener("input", (event) => {
    const { id, value, dataset } = event.target;
    if (id !== "onko-words" && id !== "onko-query") return;
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (id === "onko-words") send("words", value);
      else send("search", value, { axis: dataset.axis });
    }, 120);
  });

  // A document stays where it was read to and keeps the place that was jumped to, though it is rendered anew.
  let read = { top: 0, place: null };
  document.addEventListener("scroll", (event) => {
    if (event.target.matches?.(".onko-text .words")) read.top = event.target.scrollTop;
  }, true);
  function keepPlace(words) {
    if (words.scrollTop !== read.top) words.scrollTop = read.top;
    if (read.place !== null && !$(".onko-text mark.here")) mark(read.place);
  }

  // The row of the item on the desk stays in sight, and a new item starts at its top, a text where it first tells
  // what is coded.
  let last = "";
  let shown = null;
  let asked = "";
  new MutationObserver(() => {
    keepFocus();
    const item = $("#onko-item");
    const now = item ? item.dataset.item : "";
    const words = $(".onko-text .words");
    const asks = item?.dataset.asks ?? "";
    if (asks !== asked) {
      asked = asks;
      if (asks && !anyDialog()) open("ask");
    }
    const anew = words !== shown;
    shown = words;
    if (now === last) {
      if (anew && words) keepPlace(words);
      return;
    }
    last = now;
    const first = words?.querySelector("mark[data-fact]") ?? words?.querySelector(".onko-here");
    read = { top: first ? Math.max(0, first.offsetTop - words.offsetTop - words.clientHeight / 3) : 0, place: null };
    if (words) words.scrollTop = read.top;
    $("#onko-main")?.scrollTo({ top: 0 });
    if (matchMedia("(max-width: 760px)").matches) scrollTo({ top: 0 });
    $("#onko-rows [aria-current]")?.scrollIntoView({ block: "nearest" });
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
