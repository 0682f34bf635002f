"""Text and recursion: expressions taken apart by a hand-written parser, then worked out."""

SIZE = 500
PEER_SIZE = 4
ONE = "Parser.term"


class Parser:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def peek(self):
        while self.at < len(self.text) and self.text[self.at] == " ":
            self.at += 1
        return self.text[self.at] if self.at < len(self.text) else ""

    def number(self):
        value = 0
        while self.at < len(self.text) and self.text[self.at].isdigit():
            value = value * 10 + int(self.text[self.at])
            self.at += 1
        return ("number", value)

    def factor(self):
        if self.peek() == "(":
            self.at += 1
            inside = self.expression()
            if self.peek() != ")":
                raise SyntaxError("expected )")
            self.at += 1
            return inside
        return self.number()

    def term(self):
        left = self.factor()
        while self.peek() == "*":
            self.at += 1
            right = self.factor()
            left = ("*", left, right)
        return left

    def expression(self):
        left = self.term()
        while self.peek() in ("+", "-") and self.peek():
            operator = self.peek()
            self.at += 1
            right = self.term()
            left = (operator, left, right)
        return left


def work_out(tree):
    kind = tree[0]
    if kind == "number":
        return tree[1]
    left = work_out(tree[1])
    right = work_out(tree[2])
    if kind == "+":
        return left + right
    if kind == "-":
        return left - right
    return left * right % 10007


def run(size):
    total = 0
    for i in range(size):
        source = "%d + 3 * (%d - 7) * 2 - (4 + %d) * 11" % (i, i % 50, i % 13)
        tree = Parser(source).expression()
        total += work_out(tree)
    return total
