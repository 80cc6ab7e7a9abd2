/** What `\s` and `str.strip` of Python take: JavaScript's `\s` has the byte order mark more, and five control characters less. */
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const SPACES = new RegExp(`${SPACE}+`, 'u');
const AROUND = new RegExp(`^${SPACE}+|${SPACE}+$`, 'gu');

const strip = (text: string): string => text.replace(AROUND, '');

/** Whether a line is the title of a page (` = Title = `) and not of a section (` = = Title = = `). */
function isTitle(line: string): boolean {
  const closed = strip(line.replaceAll('= = =', '===').replaceAll('= =', '=='));
  return closed.startsWith('= ') && closed.endsWith(' =');
}

/**
 * WikiText cut into its pages, as the document-level data set of lm-evaluation-harness has them: a page begins with its title, and
 * what is blank before the first title is no page. A text without titles is one page.
 */
export function splitPages(text: string): string[] {
  const pages: string[] = [];
  let page: string[] = [];
  for (const line of text.split('\n')) {
    if (isTitle(line)) {
      const before = page.join('\n');
      if (strip(before) !== '') pages.push(before);
      page = [];
    }
    page.push(line);
  }
  return [...pages, page.join('\n')];
}

/** Between a pair of marks: what it opens with, what may not stand inside, what it closes with. */
const pairs: readonly (readonly [string, string, string])[] = [['\\(', '\\)', '\\)'], ['\\[', '\\]', '\\]'], ['\\{', '\\}', '\\}'], ['"', '"', '"'], ["'", "'", "'"]];
const mark = (text: string): string => text.replace('\\', '');

type Rule = readonly [from: string | RegExp, to: string];

/** In order; each is applied to the whole text before the next. The second one is a pattern that was meant otherwise upstream; the rule is what it does. */
const rules: readonly Rule[] = [
  ["s '", "s'"], [/\/' [0-9]\//g, "/'[0-9]/"],
  [' @-@ ', '-'], [' @,@ ', ','], [' @.@ ', '.'],
  ...[':', ';', '.', '!', '?', ','].map((sign): Rule => [` ${sign} `, `${sign} `]),
  ...pairs.map(([open, inside, close]): Rule => [new RegExp(`${open}${SPACE}*([^${inside}]*?)${SPACE}*${close}`, 'gu'), `${mark(open)}$1${mark(close)}`]),
  ['= = = =', '===='], ['= = =', '==='], ['= =', '=='], [' \u00b0 ', '\u00b0'], [' \n', '\n'], ['\n ', '\n'], [' N ', ' 1 '], [" 's", "'s"],
];

/** The wikitext task's detokeniser: the tokenised look of WikiText (` , `, `@-@`, `= = Title = =`) made ordinary text again. */
export const detokenise = (page: string): string =>
  rules.reduce((text, [from, to]) => typeof from === 'string' ? text.replaceAll(from, () => to) : text.replace(from, to), page);

/** Words as the task counts them, on the page before it is detokenised: the pieces between blanks, empty ones at the ends too. */
export const countWords = (page: string): number => page.split(SPACES).length;
