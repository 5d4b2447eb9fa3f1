"""A well-behaved client: asks one thing after the other until its standard input ends, and has every answer checked. A
process of its own: what it costs to attack is not to slow it down."""

import http.client
import json
import select
import sys
import time


def ask(host, port, path, expected, key):
    times = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        # On a new connection now and then: that others can still get one is part of the matter.
        client = http.client.HTTPConnection(host, port, timeout=10)
        for _ in range(20):
            start = time.perf_counter()
            client.request("GET", path, headers={"X-API-Key": key})
            answer = client.getresponse()
            body = json.loads(answer.read())
            times.append((time.perf_counter() - start) * 1000)
            assert answer.status == 200 and body["storeId"] == expected, body
            # Nobody asks so often without a break, and the attack is to have the machine nearly to itself.
            time.sleep(0.005)
        client.close()
        if len(times) == 20:
            # The first ones found a service and its connection; from here on it is the attack that counts.
            print("ready", flush=True)
    return times[20:]


if __name__ == "__main__":
    host, port, path, expected, key = sys.argv[1:]
    times, failure = [], None
    try:
        times = ask(host, int(port), path, expected, key)
    except Exception as error:  # noqa: BLE001: whatever it is, the test is to see it.
        failure = repr(error)
    print(json.dumps({"times": times, "failure": failure}))
