/** The way back from a path in the data of a YAML document to its place in the text. */
import { Alias, type Document, isCollection, isMap, isPair, isScalar, type Node } from 'yaml';

/** The offset of what `path` names, or of the deepest thing on the way that exists, and how far that was. */
export function locate(document: Document, path: readonly PropertyKey[]): { offset: number; depth: number } {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [depth, step] of path.entries()) {
    const whole = node instanceof Alias ? node.resolve(document) : node;
    const found = isCollection(whole) ? child(whole, step) : undefined;
    // A missing key belongs to the path, an index into a single value does not.
    if (found === undefined) return { offset, depth: isMap(whole) ? depth + 1 : depth };
    node = found.node;
    offset = found.offset ?? offset;
  }
  return { offset, depth: path.length };
}

/** An element of a list, or a value of a map, which is found at its key. */
function child(
  collection: Node & { items: unknown[] },
  step: PropertyKey,
): { node: unknown; offset: number | undefined } | undefined {
  if (!isMap(collection)) {
    const node = typeof step === 'number' ? collection.items[step] : undefined;
    return node === undefined ? undefined : { node, offset: startOf(node) };
  }
  const pair = collection.items.find(({ key }) => isScalar(key) && key.value === step);
  return isPair(pair) ? { node: pair.value, offset: startOf(pair.key) } : undefined;
}

export function startOf(node: unknown): number | undefined {
  return isScalar(node) || isCollection(node) || node instanceof Alias ? node.range?.[0] : undefined;
}

/** `projects[0].servers[1].url`. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index > 0 ? '.' : ''}${String(step)}`)).join('');
}
