/** The look of the page. It names no other file: no font, no picture. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --raised: #f6f7f9; --line: #dfe3e8; --text: #1c2430; --quiet: #5b6675;
  --accent: #0b5cad; --send: #0a6b3d; --receive: #6a3fb5; --required: #a8321f; --code: #eef1f5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161c; --raised: #1a2028; --line: #303945; --text: #e4e9ef; --quiet: #9aa6b4;
    --accent: #7fb8f5; --send: #6fcf97; --receive: #c3a6f7; --required: #f59a86; --code: #232b35;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
code, .type, .value, .constraint { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 0.88em; }
a { color: var(--accent); }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.page { display: grid; grid-template-columns: minmax(0, 17rem) minmax(0, 1fr); max-width: 78rem; margin: 0 auto; }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto; padding: 2rem 1rem 2rem 1.5rem; font-size: 0.92rem; }
nav h2 { margin: 1.25rem 0 0.25rem; font-size: 0.78rem; letter-spacing: 0.06em; text-transform: uppercase; color: var(--quiet); border: 0; padding: 0; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav a { display: block; padding: 0.15rem 0; color: inherit; text-decoration: none; overflow-wrap: anywhere; }
nav a:hover { color: var(--accent); }
main { padding: 2rem 1.5rem 4rem; border-left: 1px solid var(--line); min-width: 0; }
h1 { margin: 0; font-size: 2rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.75rem 0 1rem; padding-bottom: 0.35rem; border-bottom: 1px solid var(--line); font-size: 1.35rem; }
h3 { margin: 0 0 0.35rem; font-size: 1.1rem; overflow-wrap: anywhere; }
h4 { margin: 1.1rem 0 0.35rem; font-size: 0.82rem; letter-spacing: 0.05em; text-transform: uppercase; color: var(--quiet); }
h4 code { text-transform: none; letter-spacing: 0; color: var(--text); }
section.card { margin: 0 0 1.25rem; padding: 1.1rem 1.25rem; background: var(--raised); border: 1px solid var(--line); border-radius: 10px; overflow-wrap: anywhere; }
section.card:target { border-color: var(--accent); }
.prose { margin: 0.35rem 0; white-space: pre-line; }
.quiet { color: var(--quiet); }
.badge { display: inline-block; margin-right: 0.4rem; padding: 0 0.5rem; border: 1px solid currentColor; border-radius: 999px; font-size: 0.75rem; font-weight: 600; vertical-align: 0.1em; }
.send { color: var(--send); }
.receive { color: var(--receive); }
code { padding: 0.1em 0.3em; background: var(--code); border-radius: 4px; }
dl.tree { margin: 0; }
dl.tree > div { display: grid; grid-template-columns: minmax(7rem, 12rem) minmax(0, 1fr); gap: 0.75rem; padding: 0.12rem 0; }
dl.tree > div.nested { display: block; }
dl.tree > div.nested > dd { padding-left: 1rem; border-left: 2px solid var(--line); }
dt { color: var(--quiet); }
dd { margin: 0; }
ol.tree { margin: 0; padding-left: 1.4rem; }
.fields { margin: 0.2rem 0; padding: 0; list-style: none; }
.fields .fields { margin-left: 0.3rem; padding-left: 1rem; border-left: 2px solid var(--line); }
.fields li { padding: 0.16rem 0; }
.name { font-weight: 600; }
.type { color: var(--accent); }
.part, .title, .reference { color: var(--quiet); font-size: 0.92em; }
.required { color: var(--required); font-size: 0.85em; }
.constraint { display: inline-block; max-width: 100%; padding: 0 0.4em; border: 1px solid var(--line); border-radius: 4px; color: var(--quiet); }
@media (max-width: 54rem) {
  .page { display: block; }
  nav { position: static; max-height: none; padding-bottom: 0; }
  main { border-left: 0; }
}
@media print { nav { display: none; } .page { display: block; } section.card { break-inside: avoid; } }
`;
