"""A small service with a bug to find: some transfer overdraws an account."""

import threading
import time


def transfer(accounts, source, target, amount):
    balance = accounts[source] - amount
    accounts[source] = balance
    accounts[target] += amount
    return balance


def clerk(accounts, source, target, amounts):
    done = []
    for amount in amounts * 1000:
        transfer(accounts, source, target, amount)
        done.append(amount)
        time.sleep(0.2)


def main():
    accounts = {"ann": 100, "bob": 100}
    clerks = [
        threading.Thread(target=clerk, args=(accounts, "ann", "bob", [10, 20])),
        threading.Thread(target=clerk, args=(accounts, "bob", "ann", [5, 15])),
    ]
    for thread in clerks:
        thread.start()
    for thread in clerks:
        thread.join()


main()
