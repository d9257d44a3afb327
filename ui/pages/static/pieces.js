// Pieces of pages that are read by name, and presses that ask for something. Everything lies in address and ledger.
(() => {
  const digests = new WeakMap();
  const clocks = new WeakMap();

  const say = (line, wrong) => {
    const news = document.getElementById("news");
    if (!news) return;
    news.textContent = line;
    news.classList.toggle("wrong", Boolean(wrong));
    clearTimeout(news.clock);
    if (line && !wrong) news.clock = setTimeout(() => { news.textContent = ""; }, 6000);
  };
  window.studioSay = say;

  const put = (holder, html) => {
    const at = document.activeElement, key = at && holder.contains(at) && (at.id || at.getAttribute("aria-label"));
    if (at && holder.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName) && holder.dataset.every !== "0") return false;
    holder.innerHTML = html;
    if (key) {
      const again = holder.querySelector("#" + CSS.escape(key) + ", [aria-label=" + JSON.stringify(key) + "]");
      if (again) again.focus({ preventScroll: true });
    }
    holder.removeAttribute("aria-busy");
    holder.dispatchEvent(new CustomEvent("studio:read", { bubbles: true }));
    return true;
  };

  const address = (holder) => "/desk/" + holder.dataset.read + (holder.dataset.query ? "?" + holder.dataset.query : location.search);

  const read = async (holder) => {
    clearTimeout(clocks.get(holder));
    const headers = digests.has(holder) ? { "If-None-Match": digests.get(holder) } : {};
    try {
      const answer = await fetch(address(holder), { headers, cache: "no-store" });
      document.body.classList.remove("offline");
      if (answer.status === 401) return location.reload(); // logged out: the log-in leads back here
      if (answer.status !== 304) {
        const html = await answer.text();
        if (answer.ok || answer.status === 422) {
          if (put(holder, html)) digests.set(holder, answer.headers.get("etag"));
        } else put(holder, '<p class="error">This part of the page cannot be shown just now (' + answer.status + ').</p>');
      }
    } catch {
      document.body.classList.add("offline");
      if (!digests.has(holder)) holder.innerHTML = '<p class="error">Studio does not answer; it is tried again.</p>';
    }
    const every = Number(holder.dataset.every) || (document.body.classList.contains("offline") ? 3000 : 0);
    if (every && holder.isConnected) clocks.set(holder, setTimeout(() => (document.hidden ? wait(holder) : read(holder)), every));
  };
  const wait = (holder) => document.addEventListener("visibilitychange", () => read(holder), { once: true });

  const refresh = (names) => document.querySelectorAll("[data-read]").forEach((holder) => {
    if (!names || names.includes(holder.dataset.read)) { digests.delete(holder); read(holder); }
  });
  window.studioRefresh = refresh;

  // Where the bar of pages scrolls, the page that is open is in sight
  window.addEventListener("load", () => setTimeout(() => {
    const at = document.querySelector("nav.fillable a.active");
    if (at) at.parentElement.scrollLeft = at.offsetLeft + at.offsetWidth / 2 - at.parentElement.clientWidth / 2;
  }, 300));

  const begun = new WeakSet();
  const begin = () => document.querySelectorAll("[data-read]").forEach((holder) => {
    if (!begun.has(holder)) { begun.add(holder); read(holder); }
  });
  new MutationObserver(begin).observe(document.documentElement, { childList: true, subtree: true });
  window.addEventListener("popstate", () => refresh());

  const values = (source, submitter) => {
    const form = source.closest("form");
    const found = {};
    if (form) for (const [key, value] of new FormData(form, submitter || undefined)) {
      if (value instanceof File) continue;
      found[key] = key in found ? [].concat(found[key], value) : value;
    }
    for (const [key, value] of Object.entries(source.dataset)) if (!["do", "ask", "read", "every", "query"].includes(key)) found[key] = value;
    return found;
  };

  // An error stands beside its field, else at the form's end, and goes when the field is mended.
  const mended = (form) => {
    form.querySelectorAll("[data-error]").forEach((one) => one.remove());
    form.querySelectorAll("[aria-invalid]").forEach((one) => { one.removeAttribute("aria-invalid"); one.removeAttribute("aria-errormessage"); });
  };
  const fieldOf = (form, name) => {
    const found = name && form.elements[name];
    const all = !found ? [] : found.setAttribute ? [found] : [...found];
    return all.find((one) => one.type !== "hidden" && one.type !== "radio");
  };
  const wrong = (form, reply) => {
    if (!form) return say(reply.error, true);
    mended(form);
    const field = fieldOf(form, reply.at), line = document.createElement("p");
    line.dataset.error = ""; line.className = "error"; line.id = "error-" + (reply.at || "form"); line.setAttribute("role", "alert");
    line.textContent = reply.error;
    const holder = field && field.closest(".field");
    (holder || form).append(line);
    if (!field) return;
    for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    field.setAttribute("aria-invalid", "true"); field.setAttribute("aria-errormessage", line.id); field.focus();
    field.addEventListener("input", () => mended(form), { once: true });
  };

  const act = async (source, submitter) => {
    const name = source.dataset.do, form = source.closest("form");
    if (source.dataset.ask && !confirm(source.dataset.ask)) return;
    const button = submitter || source;
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    if (document.querySelector("#news.wrong")) say("");
    try {
      const answer = await fetch("/desk/" + name, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values(source, submitter)) });
      const reply = answer.headers.get("content-type")?.startsWith("application/json") ? await answer.json() : { error: await answer.text() };
      if (reply.error || !answer.ok) return wrong(form, { error: reply.error || reply.detail || "That did not work (" + answer.status + ").", at: reply.at });
      if (form) mended(form);
      if (reply.say) say(reply.say);
      for (const [id, html] of Object.entries(reply.pieces || {})) { const to = document.getElementById(id); if (to) put(to, html); }
      if (reply.go) {
        source.dispatchEvent(new CustomEvent("studio:done", { bubbles: true, detail: reply }));
        (window.studioGo || ((to) => location.assign(to)))(reply.go);
        return;
      }
      if (reply.refresh?.length) refresh(reply.refresh);
      source.dispatchEvent(new CustomEvent("studio:done", { bubbles: true, detail: reply }));
    } catch {
      wrong(form, { error: "Studio does not answer; nothing was sent." });
    } finally { button.removeAttribute("aria-busy"); }
  };
  window.studioAct = act;

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("button[data-do]");
    if (button) { event.preventDefault(); act(button); }
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset && form.dataset.do) { event.preventDefault(); act(form, event.submitter); }
    else if (form.dataset && form.dataset.seek !== undefined) { event.preventDefault(); seek(form); }
  });
  // A form with data-seek is a filter: its values become the page's query, and its pieces are read anew.
  const seek = (form) => {
    const query = new URLSearchParams();
    for (const [key, value] of new FormData(form)) if (value) query.append(key, value);
    history.pushState(null, "", location.pathname + (query.size ? "?" + query : ""));
    refresh();
  };
  document.addEventListener("change", (event) => {
    const form = event.target.closest && event.target.closest("form[data-seek]");
    if (form && event.target.type !== "search" && event.target.type !== "text") seek(form);
  });
})();

// The library: designs that are picked are compared side by side.
(() => {
  const picked = () => [...document.querySelectorAll("input[data-pick]:checked")].map((one) => one.dataset.pick);
  document.addEventListener("change", (event) => {
    if (!event.target.dataset || event.target.dataset.pick === undefined) return;
    const button = document.querySelector("button[data-compare]"), count = picked().length;
    button.hidden = count < 2 || count > 4;
    button.textContent = "Compare " + count;
    if (count > 4) window.studioSay("At most four designs are compared.", true);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest && event.target.closest("button[data-compare]")) location.assign("/compare?runs=" + picked().map(encodeURIComponent).join(","));
  });
})();

// Comparing: the slider between two pictures, and the choice of designs.
(() => {
  document.addEventListener("input", (event) => {
    const slider = event.target.closest && event.target.closest("[data-slider]");
    if (slider) slider.style.setProperty("--share", event.target.value + "%");
  });
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.chooseRuns === undefined) return;
    event.preventDefault();
    const names = new FormData(event.target).getAll("runs");
    if (names.length < 2 || names.length > 4) return window.studioSay("Two to four designs are compared.", true);
    location.assign("/compare?runs=" + names.map(encodeURIComponent).join(","));
  });
})();
