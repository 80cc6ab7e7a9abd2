import type { Items, Outcome, Protocol, Question, Window } from '../contract';
import { meanOf } from '../uncertainty';
import { checkWindow, tooFew } from '../windows';
import { accuracyOf, continuationWindow, windowSums } from './continuation';
import { checkDisjoint } from './prefixLm';

/** Index of the smallest, the first of equal ones. */
const least = (values: readonly number[]): number => values.reduce((best, value, i) => (value < values[best] ? i : best), 0);

/** Characters as Python counts them. */
const lengthOf = (text: string): number => [...text].length;

function outcomeOf(questions: readonly Question[], windows: readonly Window[]): Items['outcome'] {
  return (count, losses): Outcome => {
    const run = questions.slice(0, count), choices = windowSums(windows.slice(0, run.reduce((sum, { choices: c }) => sum + c.length, 0)), losses);
    let at = 0;
    const each = run.map((question) => {
      const nats = Array.from(choices.subarray(at, at += question.choices.length));
      const normed = nats.map((loss, i) => loss / lengthOf(question.choices[i]));
      return { gold: nats[question.gold], right: least(nats) === question.gold, rightNormed: least(normed) === question.gold };
    });
    const accuracy = accuracyOf(each.map(({ right }) => right)), gold = Float32Array.from(each, (one) => one.gold);
    return {
      value: accuracy.value, standardError: accuracy.standardError, standardErrorIid: accuracy.standardError, meanLoss: meanOf(gold), losses: gold,
      items: count, accuracy, accuracyNorm: accuracyOf(each.map(({ rightNormed }) => rightNormed)),
    };
  };
}

/** Questions with choices, as lm-evaluation-harness scores them (HellaSwag, ARC, PIQA, ...). */
export const multipleChoice: Protocol = {
  id: 'multiple-choice',
  title: 'Multiple choice',
  kind: 'decoder',
  metric: 'accuracy',
  reads: 'questions',
  summary: 'Every choice is scored after the context and a blank; the answer is the choice with the least loss. acc_norm divides the loss of a choice by its length in '
    + 'characters first. What lm-evaluation-harness does for its multiple-choice tasks without examples in the prompt.',
  joinsRows: false,
  defaults: (maxContext) => ({ context: maxContext, stride: maxContext }),
  strideOf: (context) => context,

  windows(tokenizer, _text, options, special, parts) {
    const { context } = checkDisjoint('multiple-choice', checkWindow(options));
    const questions = parts?.questions ?? [];
    if (questions.length === 0) throw tooFew(0, 'there is no question');
    const windows = questions.flatMap((question) => question.choices.map((choice) => continuationWindow(tokenizer, question.context, ` ${choice}`, special, context)));
    return { tokens: windows.reduce((sum, { ids }) => sum + ids.length, 0), windows, items: { windows: questions.map(({ choices }) => choices.length), outcome: outcomeOf(questions, windows) } };
  },
};
