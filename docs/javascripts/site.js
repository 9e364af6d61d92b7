// Formulas: KaTeX, which lies beside the site. Each keeps its TeX where it cannot be set.
for (const element of document.querySelectorAll(".arithmatex")) {
  const written = element.textContent.trim();
  const displayMode = written.startsWith("\\[");
  katex.render(written.slice(2, -2), element, { displayMode, throwOnError: false });
}

// What scrolls sideways is reached by the keyboard too.
for (const element of document.querySelectorAll(".equation .arithmatex, .md-typeset__scrollwrap, pre > code")) {
  if (element.scrollWidth > element.clientWidth) element.tabIndex = 0;
}

// A link to a member of a room opens it.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const member = target?.closest("details") ?? target?.parentElement.querySelector("details.member");
  if (member) {
    member.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", openTarget);
openTarget();
