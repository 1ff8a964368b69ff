// Keys of both pages, and the dialog that lists them. Anything with data-key is pressed by its key.
"use strict";

const dialog = document.getElementById("keys");
const useKeys = document.getElementById("use-keys");

useKeys.checked = localStorage.getItem("keys") !== "off";
useKeys.addEventListener("change", () => localStorage.setItem("keys", useKeys.checked ? "on" : "off"));
document.getElementById("help").addEventListener("click", () => dialog.showModal());

function moved(step, stops, current) {
  const at = stops.indexOf(current);
  const next = at < 0 ? (step > 0 ? 0 : stops.length - 1) : Math.min(stops.length - 1, Math.max(0, at + step));
  stops[next]?.focus();
}

const actions = {
  "?": () => dialog.showModal(),
  j: () => moved(1, [...document.querySelectorAll("a.film")], document.activeElement),
  k: () => moved(-1, [...document.querySelectorAll("a.film")], document.activeElement),
};

const search = document.getElementById("q");
if (search) actions["/"] = () => { search.focus(); search.select(); };

function keyOf({ key, shiftKey }) { // whatever Caps Lock makes of a letter
  if (key.length > 1) return key;
  return shiftKey ? key.toUpperCase() : key.toLowerCase();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (typing || dialog.open || !useKeys.checked || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const key = keyOf(event);
  const action = actions[key];
  const pressed = document.querySelector(`[data-key="${CSS.escape(key)}"]:not([hidden])`);
  if (!action && !pressed) return;
  event.preventDefault();
  if (action) action(); else pressed.click();
});
