// Names each guide after its first heading, and each module as it is imported: TypeDoc names them after their files. Draws
// the diagrams of the guides, which TypeDoc shows as text, and lets the search find the sections of the guides.
import { readFileSync } from 'node:fs';
import { Converter, PageEvent } from 'typedoc';
import { drawDiagrams } from './diagrams.mjs';
import { searchSections } from './search-sections.mjs';

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_context, document) => {
    const source = document.project.files.getReflectionPath(document);
    const [, heading] = /^# (.+)$/m.exec(readFileSync(source, 'utf8')) ?? [];
    if (heading) document.name = heading.replaceAll('`', '').split(': ')[0];
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.children ?? []) module.name = module.name.replace(/^src(?=\/|$)/, 'leveret');
  });
  searchSections(app);
  app.renderer.on(PageEvent.END, (page) => {
    page.contents = drawDiagrams(page.contents);
  });
}
