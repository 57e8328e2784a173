"""What `/metrics` says, read by Prometheus' own parser."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor

from prometheus_client.parser import text_string_to_metric_families

from tests.serving.running import ask, question, serving, toy


def _samples(port: int) -> dict[tuple[str, ...], float]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_batches_and_the_version_are_counted():
    detector = toy()
    with serving(detector) as (service, port):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ask(port, "POST", "/detect", question("ring")), range(8)))
        ask(port, "POST", "/detect", question())
        for number in range(20):  # a client's paths make no series
            ask(port, "GET", f"/nowhere/{number}")
        service.use(detector, "4")
        found = _samples(port)
    assert found["omnidet_requests_total", "detect", "200"] == 8
    assert found["omnidet_requests_total", "detect", "400"] == 1
    assert found["omnidet_requests_total", "none", "404"] == 20
    assert found["omnidet_request_seconds_count", "detect"] == 9
    assert found["omnidet_batch_pictures_sum",] == 8
    assert found["omnidet_decoding_seconds_count",] == 8
    assert found["omnidet_requests_under_way",] == 0
    assert found["omnidet_model", "toy", "4"] == 1
    assert ("omnidet_model", "toy", "3") not in found
    assert found["process_resident_memory_bytes",] > 1e6
