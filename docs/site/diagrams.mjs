// Draws the Mermaid diagrams of the guides: pictures within the page, in the colours of its theme.
import { renderMermaidSVG } from 'beautiful-mermaid';

const BLOCK = /<pre><code class="mermaid">([\s\S]*?)<\/code>(?:<button[\s\S]*?<\/button>)?<\/pre>/g;

const ENTITIES = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' };

/** @param {string} page the HTML of a page */
export function drawDiagrams(page) {
  return page.replaceAll(BLOCK, (_block, escaped) => {
    const source = escaped.replaceAll(/&(?:lt|gt|quot|#39|amp);/g, (entity) => ENTITIES[entity]);
    const picture = renderMermaidSVG(source, {
      bg: 'var(--color-background)',
      fg: 'var(--color-text)',
      transparent: true,
    });
    // The font would come from another host.
    return `<figure class="diagram">${picture.replace(/@import url\([^)]*\);/, '')}</figure>`;
  });
}
