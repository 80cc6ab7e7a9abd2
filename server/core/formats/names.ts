/** Longest name, and most names, that a message carries: both come from a file that nobody vouches for. */
const MAX_NAME = 200;
const MAX_LISTED = 8;

/** A tensor or file name as a message may carry it. */
export const shownName = (name: string): string => (name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME)}\u2026`);

/** `a, b and 12 more` */
export const listNames = (names: readonly string[]): string =>
  names.slice(0, MAX_LISTED).map(shownName).join(', ') + (names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : '');
