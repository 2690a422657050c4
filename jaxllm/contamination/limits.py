"""From how much on two texts overlap: the field's n-grams, and Jaccard's similarity of trigrams."""

WORD_N = 13  # words, as GPT-3's appendix C has it; about 20 characters of Japanese
CHARACTER_N = 30
SIMILAR_FROM = 0.5
