// The Studio page: one run, read with a cursor and put in part by part; the form; large pictures; keys.
(() => {
  const one = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const page = () => document.getElementById("studio");
  const asked = () => new URLSearchParams(location.search);
  const narrow = () => matchMedia("(max-width: 860px)").matches;
  let run = "", seq = 0, chosen = "", state = "", timer = 0, turn = 0, skew = 0, heard = "", begun = false;

  // Reading: what changed since the last event that is known here
  const poll = async () => {
    clearTimeout(timer);
    if (!page()) return;
    const mine = ++turn, query = new URLSearchParams();
    if (run) query.set("run", run);
    else if (asked().has("new")) query.set("new", "1");
    if (run && seq) query.set("after", seq);
    if (run && chosen !== "") query.set("chosen", chosen);
    let wait = 3000;
    try {
      const answer = await fetch("/desk/run?" + query, { cache: "no-store" });
      const html = await answer.text();
      if (mine !== turn) return;
      document.body.classList.remove("offline");
      if (answer.ok) wait = take(html);
      else if (answer.status === 422) { failed(html); wait = 15000; }
      else wait = 5000;
    } catch {
      if (mine !== turn) return;
      document.body.classList.add("offline");
    }
    if (wait) timer = setTimeout(poll, document.hidden ? Math.max(wait, 3000) : wait);
  };

  const failed = (html) => {
    one("#run-error").innerHTML = html + '<p class="chips"><a class="button" href="/?new">New design</a> <a class="button" href="/library">All designs</a></p>';
    one("#run-status").replaceChildren();
    page().dataset.state = "unknown";
  };

  const take = (html) => {
    const box = document.createElement("template");
    box.innerHTML = html;
    const head = one("template[data-head]", box.content);
    if (!head) return 5000;
    const told = head.dataset, before = page().dataset.state;
    if (told.run !== run) adopt(told.run);
    const bottom = lastBottom();
    one("#run-error").replaceChildren();
    for (const part of all("template[data-part]", box.content)) place(part.dataset.part, part);
    for (const step of all("template[data-step]", box.content)) putStep(step);
    seq = Number(told.seq) || 0; chosen = told.chosen; state = told.state; skew = Number(told.now) - Date.now() / 1000;
    page().dataset.state = state; page().dataset.mood = told.mood; page().dataset.run = run;
    if (document.title !== told.title) document.title = told.title;
    parts(); tick(); press(); follow(bottom);
    if (state === "waiting" && before && before !== state) one("#run-question").scrollIntoView({ block: "center" });
    if (before && before !== state && run) window.studioRefresh(["run/past", "run/family"]);
    hear();
    return Number(told.wait);
  };

  const lastHtml = new WeakMap();
  const place = (name, part) => {
    let to = name.startsWith("round-") ? round(name) : one("#run-" + name);
    if (!to || lastHtml.get(to) === part.innerHTML) return;
    if (name === "question" && to.contains(document.activeElement) && part.innerHTML.trim()) return;
    lastHtml.set(to, part.innerHTML);
    put(to, part.content);
  };
  const round = (name) => {
    const holder = one("#run-rounds"), number = Number(name.slice(6));
    let to = one('[data-round="' + number + '"]', holder);
    if (!to) {
      to = document.createElement("div");
      to.dataset.round = number;
      holder.insertBefore(to, all("[data-round]", holder).find((other) => Number(other.dataset.round) > number) || null);
    }
    return to;
  };
  const put = (to, content) => {
    const open = new Map(all("details[data-keep]", to).map((each) => [each.dataset.keep, each.open]));
    const at = document.activeElement, inside = at && to.contains(at);
    const key = inside && (at.id ? "#" + CSS.escape(at.id) : at.dataset.do ? '[data-do="' + at.dataset.do + '"]' : at.tagName === "SUMMARY" ? "summary" : "");
    to.replaceChildren(content);
    for (const each of all("details[data-keep]", to)) if (open.has(each.dataset.keep)) each.open = open.get(each.dataset.keep);
    if (key) one(key, to)?.focus({ preventScroll: true });
  };

  const putStep = (step) => {
    const steps = one("#run-steps"), key = step.dataset.step;
    let to = one('[data-key="' + CSS.escape(key) + '"]', steps);
    if (!to) {
      let group = steps.lastElementChild;
      if (!group || group.dataset.phase !== step.dataset.phase) {
        group = document.createElement("section");
        group.className = "group";
        group.dataset.phase = step.dataset.phase;
        const title = document.createElement("h3");
        title.textContent = step.dataset.phase || "Other";
        group.append(title);
        steps.append(group);
      }
      to = document.createElement("div");
      to.className = "step";
      to.dataset.key = key;
      to.tabIndex = -1;
      group.append(to);
    }
    const was = one("details", to), touched = was && was.dataset.touched !== undefined, open = was && was.open;
    const focused = was && was.contains(document.activeElement) && document.activeElement.tagName === "SUMMARY";
    to.replaceChildren(step.content);
    const now = one("details", to);
    if (touched) { now.open = open; now.dataset.touched = ""; }
    if (focused) one("summary", now).focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    const summary = event.target.closest && event.target.closest(".turn > summary");
    if (summary) summary.parentElement.dataset.touched = "";
  });

  const lastBottom = () => {
    const steps = all("#run-steps .step"), last = steps[steps.length - 1];
    return last ? last.getBoundingClientRect().bottom : 0;
  };
  const follow = (before) => {
    if (state !== "running" || narrow() || !before || before > innerHeight + 40 || document.hidden) return;
    const now = lastBottom();
    if (now > innerHeight - 30 && now > before) scrollBy(0, Math.min(now - innerHeight + 60, 400));
  };

  // Thumbs that were left show as pressed
  const press = () => {
    for (const left of all("#run-thumbs li")) {
      const at = '.thumbs[data-about="' + left.dataset.about + '"][data-at="' + CSS.escape(left.dataset.at) + '"] [data-thumb]';
      for (const each of all(at)) each.setAttribute("aria-pressed", String(each.dataset.thumb === left.dataset.value));
    }
  };
  document.addEventListener("studio:read", (event) => { if (event.target.id === "run-thumbs") press(); });

  const parts = () => {
    const shown = Boolean(run);
    one("#run-jumps").hidden = !shown;
    for (const link of all("#run-jumps a")) link.hidden = Boolean(link.dataset.needs) && !one(link.dataset.needs);
    one("#run-talk h2").hidden = !shown;
    one("#run-pictures h2").hidden = !one("#run-rounds section, #run-painting section");
  };

  const hear = () => {
    const words = one("#run-status .words b")?.textContent || "", phase = one("#run-status [aria-current]")?.textContent.trim() || "";
    const line = run ? words + (phase && state === "running" ? ": " + phase : "") : "";
    if (line !== heard) { heard = line; if (one("#run-live")) one("#run-live").textContent = line; }
  };

  const adopt = (id) => {
    run = id; seq = 0; chosen = "";
    for (const name of ["wish", "steps", "strip", "painting", "rounds", "card", "question"]) {
      const to = one("#run-" + name);
      to.replaceChildren(); lastHtml.delete(to);
    }
    if (id) {
      lastHtml.delete(one("#run-status"));
      one("#run-status").innerHTML = '<p class="loading" role="status">The design is coming …</p>';
      if (narrow()) one("#ask").open = false;
    }
    of("run/past"); of("run/family"); of("run/thumbs");
  };
  const of = (name) => {
    const holder = one('[data-read="' + name + '"]');
    if (!holder) return;
    holder.dataset.query = run ? "run=" + encodeURIComponent(run) : "new=1";
    window.studioRefresh([name]);
  };

  const open = (fill) => {
    run = asked().get("run") || ""; seq = 0; chosen = "";
    adopt(run);
    if (!run) one("#ask").open = true;
    if (fill) of("run/form");
    poll();
  };
  window.studioGo = (to) => {
    const url = new URL(to, location.href);
    if (url.pathname !== location.pathname || !page()) { location.assign(to); return; }
    history.pushState(null, "", url);
    open(false);
    scrollTo({ top: 0 });
  };
  window.addEventListener("popstate", () => { if (page()) open(true); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[data-run-link]");
    if (!link || !page() || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    history.pushState(null, "", link.href);
    open(true);
    scrollTo({ top: 0 });
  });
  const start = () => { if (page() && !begun) { begun = true; open(false); } };
  new MutationObserver(start).observe(document.documentElement, { childList: true, subtree: true });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && begun) poll(); });
  document.addEventListener("studio:done", (event) => {
    if ((event.detail.refresh || []).includes("run")) poll();
    const sheet = one("#sheet");
    if (sheet && sheet.open && sheet.contains(event.target)) sheet.close();
  });

  // The clocks count here; the server says when they began
  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds)), minutes = Math.floor(whole / 60), rest = String(whole % 60).padStart(2, "0");
    return minutes < 60 ? minutes + ":" + rest : Math.floor(minutes / 60) + ":" + String(minutes % 60).padStart(2, "0") + ":" + rest;
  };
  const tick = () => {
    const now = Date.now() / 1000 + skew;
    for (const each of all("[data-since]")) each.textContent = clock(Number(each.dataset.before) + now - Number(each.dataset.since));
  };
  setInterval(tick, 1000);

  // Sheets that the server fills, copies, ideas, thumbs
  const sheet = async (button) => {
    const query = new URLSearchParams({ run });
    for (const name of ["at", "how", "words", "about", "value"]) if (button.dataset[name] !== undefined) query.set(name, button.dataset[name]);
    const dialog = one("#sheet");
    try {
      const answer = await fetch("/desk/" + button.dataset.sheet + "?" + query, { cache: "no-store" });
      dialog.innerHTML = await answer.text();
    } catch { return window.studioSay("Studio does not answer; try again.", true); }
    dialog.addEventListener("close", () => button.focus(), { once: true });
    dialog.showModal();
    one("textarea, input:not([type=hidden])", dialog)?.focus();
  };
  const copy = async (text, what) => {
    try { await navigator.clipboard.writeText(text); } catch {
      const box = document.createElement("textarea");
      box.value = text; document.body.append(box); box.select();
      document.execCommand("copy"); box.remove();
    }
    window.studioSay("Copied: " + what + ".");
  };
  const thumb = async (button) => {
    const holder = button.closest(".thumbs"), was = button.getAttribute("aria-pressed") === "true";
    const sent = { run, about: holder.dataset.about, at: holder.dataset.at, value: was ? "" : button.dataset.thumb };
    const answer = await fetch("/desk/run/thumb", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent) }).catch(() => null);
    const reply = answer && await answer.json().catch(() => ({ error: "That did not work." }));
    if (!reply || reply.error) return window.studioSay(reply?.error || "Studio does not answer; nothing was kept.", true);
    for (const each of all("[data-thumb]", holder)) each.setAttribute("aria-pressed", String(each === button && !was));
    window.studioSay(reply.say);
    of("run/thumbs");
    if (!was) sheet({ dataset: { sheet: "run/why", about: sent.about, at: sent.at, value: sent.value }, focus: () => button.focus() });
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest("button, .dialog-close");
    if (!button || !page()) return;
    const data = button.dataset;
    if (data.sheet) return sheet(button);
    if (data.thumb) return thumb(button);
    if (data.close !== undefined) return button.closest("dialog").close();
    if (data.help !== undefined) return one("#keys").showModal();
    if (data.copyAddress !== undefined) return copy(new URL("/?run=" + encodeURIComponent(run), location.href).href, "the address");
    if (data.copy) { const found = all(data.copy); return found.length ? copy(found[found.length - 1].textContent, "the text") : undefined; }
    if (data.copyFrom) {
      const answer = await fetch(data.copyFrom).catch(() => null);
      return answer && answer.ok ? copy(await answer.text(), "the JSON") : window.studioSay("It cannot be read just now.", true);
    }
    if (data.useSettings) {
      const holder = one('[data-read="run/form"]');
      holder.dataset.query = "run=" + encodeURIComponent(data.useSettings);
      window.studioRefresh(["run/form"]);
      one("#ask").open = true; one("#ask").scrollIntoView({ block: "start" });
      return window.studioSay("The form holds this design's settings.");
    }
    if (data.idea !== undefined) return window.studioFill(data.brief, data.inspirations);
    if (data.compareWith !== undefined) {
      const family = all("#run-family a[data-run-link]"), past = all(".past a[data-run-link]").filter((link) => one(".dot.is-finished", link));
      const other = [...family, ...past].map((link) => new URL(link.href).searchParams.get("run")).find((name) => name !== run);
      location.assign("/compare" + (other ? "?runs=" + [run, other].map(encodeURIComponent).join(",") : ""));
    }
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[data-open]");
    if (link) one(link.dataset.open).open = true;
    const cited = event.target.closest && event.target.closest('.card a[href^="#evidence-"]');
    if (cited) one(cited.getAttribute("href"))?.focus({ preventScroll: true });
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // Keys
  document.addEventListener("keydown", (event) => {
    if (!page() || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest && event.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
    if (event.key === "?") { event.preventDefault(); one("#keys").showModal(); }
    if (event.key === "j" || event.key === "k") {
      const steps = all("#run-steps .turn > summary"), at = steps.indexOf(document.activeElement);
      const next = steps[event.key === "j" ? Math.min(at + 1, steps.length - 1) : Math.max(at - 1, 0)];
      if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
    }
    if (event.key === "Escape") for (const menu of all("details.menu[open]")) menu.open = false;
  });
})();

// Large pictures: arrows, a caption, a close button.
(() => {
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[data-zoom]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const links = [...document.querySelectorAll("a[data-zoom]")], dialog = document.createElement("dialog");
    let at = links.indexOf(link);
    dialog.className = "zoom";
    dialog.setAttribute("aria-label", "Picture, larger");
    dialog.innerHTML = '<figure><img alt=""><figcaption></figcaption></figure><button class="zoom-close" aria-label="Close">×</button>' +
      '<button class="zoom-before" aria-label="Picture before">‹</button><button class="zoom-next" aria-label="Next picture">›</button>';
    const show = (to) => {
      at = (to + links.length) % links.length;
      const small = links[at].querySelector("img"), image = dialog.querySelector("img");
      image.src = links[at].href;
      image.alt = small ? small.alt : "";
      dialog.querySelector("figcaption").textContent = (small ? small.alt : "") + (links.length > 1 ? " (" + (at + 1) + " of " + links.length + ")" : "");
      for (const name of ["before", "next"]) dialog.querySelector(".zoom-" + name).hidden = links.length < 2;
    };
    dialog.addEventListener("click", (press) => {
      if (press.target.closest(".zoom-before")) show(at - 1);
      else if (press.target.closest(".zoom-next")) show(at + 1);
      else if (!press.target.closest("figcaption")) dialog.close();
    });
    dialog.addEventListener("keydown", (press) => {
      if (press.key === "ArrowLeft") show(at - 1);
      if (press.key === "ArrowRight") show(at + 1);
    });
    dialog.addEventListener("close", () => { dialog.remove(); links[at].isConnected && links[at].focus(); });
    document.body.append(dialog);
    show(at);
    dialog.showModal();
  });
})();
