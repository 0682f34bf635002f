"""Strings: built piece by piece, formatted, split and joined."""

SIZE = 3000
PEER_SIZE = 25
ONE = "page"


def escape(text):
    out = ""
    for character in text:
        if character == "<":
            out += "&lt;"
        elif character == "&":
            out += "&amp;"
        else:
            out += character
    return out


def row(number, name):
    line = "<tr>"
    line += "<td>%05d</td>" % number
    line += f"<td>{escape(name)}</td>"
    line += "</tr>"
    return line


def page(n):
    lines = []
    for i in range(n):
        name = "item " + str(i) + " <&>"[: i % 5]
        lines.append(row(i, name))
    return "\n".join(lines)


def run(size):
    text = page(size)
    total = 0
    for line in text.split("\n"):
        left, found, right = line.partition("</td>")
        upper = right.strip().upper()
        total += len(left) + len(found) + upper.count("TD")
    return len(text), total
