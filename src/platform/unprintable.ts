/**
 * What changes how a terminal, or a person, reads the rest of a text: control characters,
 * line breaks, and what is invisible or turns the direction around. Not the joiners, of
 * which emoji and some scripts are made. Global: for `replace`.
 */
export const UNPRINTABLE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
