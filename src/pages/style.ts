/** The pages' only style sheet; it stands in each page, and the policy for content names its hash. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --card: #ffffff; --text: #1c2430; --quiet: #5a6675; --line: #d5dae1;
  --accent: #c2410c; --on-accent: #ffffff; --alert: #b42318; --alert-back: #fef1f0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1b2129; --text: #e6e9ee; --quiet: #a0abb9; --line: #36404d;
    --accent: #fb923c; --on-accent: #1c1206; --alert: #ff9d94; --alert-back: #3a1d1b;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
header, main { margin: 0 auto; padding: 0 1rem; max-width: 25rem; }
.wide header, .wide main { max-width: 64rem; }
header { display: flex; align-items: center; gap: .5rem; padding-top: 2.5rem; padding-bottom: 1rem; font-weight: 600; }
header form { margin-left: auto; }
header svg { width: 1.5rem; height: 1.5rem; color: var(--accent); }
main { margin-bottom: 3rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.5rem; }
h1 { margin: 0 0 1rem; font-size: 1.25rem; line-height: 1.3; }
h2 { margin: 0 0 1rem; font-size: 1.1rem; line-height: 1.3; }
h3 { margin: 1.25rem 0 .25rem; font-size: .9rem; }
section + section { margin-top: 1rem; }
summary { padding: .35rem 0; cursor: pointer; }
details[open] { margin-bottom: 1rem; padding-bottom: 1rem; border-bottom: 1px solid var(--line); }
table + p { margin-top: .75rem; }
pre { margin: 0 0 1rem; padding: .6rem .8rem; border-radius: .35rem; background: var(--page); white-space: pre-wrap; }
p { margin: 0 0 1rem; }
:last-child { margin-bottom: 0; }
a { color: var(--accent); }
.quiet { color: var(--quiet); font-size: .9rem; }
label { display: block; margin-bottom: 1rem; font-weight: 500; }
label .quiet { display: block; font-weight: 400; }
input {
  display: block; width: 100%; margin-top: .25rem; padding: .5rem .65rem; color: inherit; background: var(--page);
  border: 1px solid var(--quiet); border-radius: .35rem; font: inherit;
}
button, .button {
  display: block; width: 100%; padding: .55rem 1rem; border: 1px solid var(--accent); border-radius: .35rem; font: inherit;
  font-weight: 600; text-align: center; text-decoration: none; cursor: pointer; background: var(--accent); color: var(--on-accent);
}
.button, header button { background: transparent; color: inherit; border-color: var(--quiet); font-weight: 500; }
header button { width: auto; padding: .3rem .8rem; font-size: .9rem; }
.button + .button { margin-top: .6rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.or { display: flex; align-items: center; gap: .75rem; margin: 1.25rem 0; color: var(--quiet); font-size: .9rem; }
.or::before, .or::after { content: ""; flex: 1; border-top: 1px solid var(--line); }
[role=alert] {
  padding: .6rem .8rem; border-left: .25rem solid var(--alert); border-radius: .25rem; background: var(--alert-back); color: var(--alert);
}
table { width: 100%; border-collapse: collapse; }
th, td { padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--quiet); font-size: .9rem; font-weight: 500; }
code { font: .875rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
@media (min-width: 40rem) {
  .url { white-space: nowrap; }
  .url wbr { white-space: normal; }
  details td:nth-child(1) { width: 32%; }
  details td:nth-child(2) { width: 26%; }
}
@media (max-width: 40rem) {
  header { padding-top: 1.25rem; }
  section { padding: 1.1rem; }
  table, tbody, tr, td { display: block; }
  thead { position: absolute; clip-path: inset(50%); height: 1px; overflow: hidden; }
  td { padding: 0; border: 0; }
  tr { padding: .6rem 0; border-bottom: 1px solid var(--line); }
}
`;
