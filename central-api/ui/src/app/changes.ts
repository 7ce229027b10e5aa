// What a form changed.

/**
 * What of the fields is other than it was. Only that is saved: a form that stood open while somebody else changed a field would put that back
 * with everything else.
 */
export function changes<T extends object>(before: T, after: T): Partial<T> {
  const isOther = (key: string) => JSON.stringify(before[key as keyof T]) !== JSON.stringify(after[key as keyof T]);
  return Object.fromEntries(Object.entries(after).filter(([key]) => isOther(key))) as Partial<T>;
}
