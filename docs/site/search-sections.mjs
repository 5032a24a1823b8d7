// Lets the search find the sections of the guides: TypeDoc finds a page as a whole, behind every option with such a name.
import { DocumentReflection, IndexEvent } from 'typedoc';

/** How much more a section of a guide weighs than a name of the reference. */
const BOOST = 20;

/** A fence is left alone: a line of it can begin with `#`. */
const HEADING_OR_FENCE = /^```[\s\S]*?^```$|^#{2,3} (.+)$/gm;

/** @param {string} guide Markdown */
function sectionsOf(guide) {
  const headings = [...guide.matchAll(HEADING_OR_FENCE)].filter(([, heading]) => heading !== undefined);
  return headings.map(({ 0: line, 1: heading, index }, n) => ({
    name: heading.replaceAll('`', ''),
    anchor: anchorOf(heading),
    text: guide.slice(index + line.length, headings[n + 1]?.index),
  }));
}

/** As TypeDoc makes it, which leaves code out. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replaceAll(/`[^`]*`/g, '')
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');

/** Not the pages for contributors, which use the same words. */
const isGuide = (found) =>
  found.isDocument() &&
  /[\\/]docs[\\/](?!architecture)/.test(found.project.files.getReflectionPath(found) ?? '');

/** @param {import('typedoc').Application} app */
export function searchSections({ renderer }) {
  renderer.on(IndexEvent.PREPARE_INDEX, ({ searchResults, searchFields }) => {
    for (const guide of searchResults.filter(isGuide)) {
      const url = renderer.router.getFullUrl(guide);
      for (const { name, anchor, text } of sectionsOf(guide.content.map((part) => part.text).join(''))) {
        const section = new DocumentReflection(name, guide, [], {});
        section.relevanceBoost = BOOST;
        renderer.router.fullUrls.set(section, `${url}#${anchor}`);
        searchResults.push(section);
        searchFields.push({ document: text });
      }
    }
  });
}
