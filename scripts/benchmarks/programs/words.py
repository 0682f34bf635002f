"""Dictionaries: words counted, grouped and indexed."""

SIZE = 6000
PEER_SIZE = 80
ONE = "tally"

SYLLABLES = ("ka", "to", "mi", "re", "su", "no", "la", "ve", "pi", "du")


def words(n):
    state = 7
    made = []
    for _ in range(n):
        state = (state * 16807) % 2147483647
        made.append(SYLLABLES[state % 10] + SYLLABLES[state // 10 % 10] + SYLLABLES[state % 7])
    return made


def tally(all_words):
    counts = {}
    for word in all_words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def group(counts):
    groups = {}
    for word, count in counts.items():
        groups.setdefault(word[:2], []).append((count, word))
    for members in groups.values():
        members.sort(reverse=True)
    return groups


def index(all_words):
    where = {}
    for position, word in enumerate(all_words):
        first = word[0]
        if first not in where:
            where[first] = {}
        where[first][word] = position
    return where


def run(size):
    all_words = words(size)
    counts = tally(all_words)
    groups = group(counts)
    where = index(all_words)
    best = sorted((members[0] for members in groups.values()), reverse=True)
    return best[:3], sum(len(part) for part in where.values())
