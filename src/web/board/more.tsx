/** Opens what a row or a card has no room for; that stands beside it in the card, see `.extra` in the style sheet. */
export function More({ what, name }: { what: string; name: string }) {
  return (
    <details class="more" id={`more-${what}`}>
      <summary class="button" aria-label={`More of ${name}`}>
        <span aria-hidden="true">⋯</span>
      </summary>
    </details>
  );
}
