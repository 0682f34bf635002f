"""Numbers: planets pull at each other, floats in lists and in local variables."""

SIZE = 800
PEER_SIZE = 4
ONE = "advance"


def system():
    return [
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 39.47],
        [[4.84, -1.16, -0.10], [0.60, 2.81, -0.02], 0.0376],
        [[8.34, 4.12, -0.40], [-1.01, 1.82, 0.008], 0.0112],
        [[12.89, -15.11, -0.22], [1.08, 0.86, -0.01], 0.0017],
        [[15.37, -25.91, 0.17], [0.97, 0.59, -0.03], 0.0020],
    ]


def advance(pairs, bodies, step):
    for (where_a, speed_a, mass_a), (where_b, speed_b, mass_b) in pairs:
        dx = where_a[0] - where_b[0]
        dy = where_a[1] - where_b[1]
        dz = where_a[2] - where_b[2]
        pull = step / (dx * dx + dy * dy + dz * dz) ** 1.5
        from_b = mass_b * pull
        from_a = mass_a * pull
        speed_a[0] -= dx * from_b
        speed_a[1] -= dy * from_b
        speed_a[2] -= dz * from_b
        speed_b[0] += dx * from_a
        speed_b[1] += dy * from_a
        speed_b[2] += dz * from_a
    for where, speed, _ in bodies:
        where[0] += step * speed[0]
        where[1] += step * speed[1]
        where[2] += step * speed[2]


def run(size):
    bodies = system()
    pairs = [(a, b) for i, a in enumerate(bodies) for b in bodies[i + 1 :]]
    for _ in range(size):
        advance(pairs, bodies, 0.01)
    return repr(bodies)
