/** 0.5 -> `50 %`, 0.999 -> `99.9 %`, 1e-3 -> `0.1 %`. */
export const percent = (fraction: number): string => `${Number((fraction * 100).toPrecision(6))} %`;
