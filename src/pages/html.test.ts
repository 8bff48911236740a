import { expect, it } from 'vitest';
import { fc } from '../../test/support/fast-check.ts';
import { html } from './html.ts';

it('whatever is put into HTML is text there', () => {
  expect(html`<p title="${'" onclick="x'}">${"<script>&'</script>"}</p>`.text).toBe(
    '<p title="&quot; onclick=&quot;x">&lt;script&gt;&amp;&#39;&lt;/script&gt;</p>',
  );
});

it('HTML within HTML stays, alone and in lists; null is nothing', () => {
  const items = ['a', '<b>'].map((item) => html`<li>${item}</li>`);
  expect(html`<ul>${items}</ul>${null}${html`<hr>`}${7}`.text).toBe('<ul><li>a</li><li>&lt;b&gt;</li></ul><hr>7');
  expect(html`<b>`.text).toBe('<b>');
});

it('no text breaks out of an element or attribute', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(html`${text}`.text).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
    }),
  );
});
