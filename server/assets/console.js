// What htmx does not do: fills a key into the snippets and copies text. Everything works without it, with more typing.
// Keys stay in this page: nothing here sends, stores or puts them into a URL.
(function () {
  "use strict";
  document.documentElement.classList.add("scripted");

  var PLACEHOLDER = "YOUR_KEY";

  function fill(key) {
    document.querySelectorAll("pre[data-snippet]").forEach(function (snippet) {
      if (snippet.dataset.snippet === "") snippet.dataset.snippet = snippet.textContent;
      snippet.textContent = snippet.dataset.snippet.split(PLACEHOLDER).join(key || PLACEHOLDER);
    });
  }

  var shown = document.getElementById("fresh-key");
  if (shown) fill(shown.textContent.trim());

  var typed = document.getElementById("typed-key");
  if (typed) {
    typed.addEventListener("input", function () {
      // Keys are letters, digits and _ alone; anything else could break out of a snippet's quotes.
      fill(typed.value.trim().replace(/[^A-Za-z0-9_.-]/g, ""));
    });
  }

  // What opens a link once stands behind its #, so that no server's log has it. Taken from there, it is also taken out
  // of the address.
  var token = document.getElementById("one-time-token");
  if (token && location.hash.indexOf("#" + token.dataset.begins) === 0) {
    token.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-copy]");
    if (!button) return;
    var source = document.getElementById(button.dataset.copy);
    if (!source || !navigator.clipboard) return;
    navigator.clipboard.writeText(source.textContent.trim()).then(function () {
      var label = button.textContent;
      button.textContent = "Copied";
      setTimeout(function () {
        button.textContent = label;
      }, 1500);
    });
  });
})();
