"""Graphs: shortest paths with a heap, a dictionary of dictionaries, and a union of sets."""

import heapq

SIZE = 400
PEER_SIZE = 8
ONE = "shortest"


def graph(n):
    edges = {node: {} for node in range(n)}
    for node in range(n):
        for k in range(1, 6):
            other = (node * k * 31 + 17 * k) % n
            weight = (node * 13 + other * 7) % 29 + 1
            edges[node][other] = weight
            edges[other][node] = weight
    return edges


def shortest(edges, start):
    distances = {start: 0}
    waiting = [(0, start)]
    done = set()
    while waiting:
        distance, node = heapq.heappop(waiting)
        if node in done:
            continue
        done.add(node)
        for other, weight in edges[node].items():
            further = distance + weight
            if other not in distances or further < distances[other]:
                distances[other] = further
                heapq.heappush(waiting, (further, other))
    return distances


def components(edges):
    parent = {node: node for node in edges}

    def find(node):
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for node, others in edges.items():
        for other in others:
            a = find(node)
            b = find(other)
            if a != b:
                parent[a] = b
    return len({find(node) for node in edges})


def run(size):
    edges = graph(size)
    total = 0
    for start in range(0, size, size // 5 + 1):
        total += sum(shortest(edges, start).values())
    return total, components(edges)
