/** The look of the API documentation page. Its hash stands in the page's content security policy. */
export const DOCS_CSS = `
:root { color-scheme: dark light; --ink: light-dark(#1c1f23, #e6e8eb); --quiet: light-dark(#596069, #9aa3ad); --ground: light-dark(#ffffff, #14171a); --line: light-dark(#d9dde2, #2c3238); }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
a { color: inherit; }
h2 { margin: 2.5rem 0 .5rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; }
summary { display: flex; flex-wrap: wrap; gap: .25rem .75rem; min-height: 44px; align-items: center; padding: 0 .75rem; cursor: pointer; }
summary .quiet { flex-basis: 100%; padding-bottom: .5rem; }
.inside { border-top: 1px solid var(--line); padding: .25rem .75rem .75rem; }
.quiet { color: var(--quiet); }
code, pre { font: .875rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; white-space: pre-wrap; }
.method { font-weight: 600; text-transform: uppercase; }
table { border-collapse: collapse; table-layout: fixed; width: 100%; }
th { width: 2.5rem; }
td > pre { margin: .5rem 0 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
`;
