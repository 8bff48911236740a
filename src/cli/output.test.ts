import { expect, it } from 'vitest';
import { formatTable } from './output.ts';

it("a table's columns are as wide as their widest cell and lines do not end in spaces", () => {
  const rows = [
    ['1', 'grafana', ''],
    ['20', 'größer-als', 'yes'],
  ];
  expect(formatTable({ columns: ['id', 'name', 'expires'], rows })).toBe(
    ['ID  NAME        EXPIRES', '1   grafana', '20  größer-als  yes'].join('\n'),
  );
});

it('a table without rows is its headings', () => {
  expect(formatTable({ columns: ['id', 'name'], rows: [] })).toBe('ID  NAME');
});
