"""Counters with closed labels."""

from infra.metrics import OTHER, Registry


def lines(registry: Registry) -> set[str]:
    return {line for line in registry.render().decode().splitlines() if line[:1] != "#"}


def test_labels_outside_of_their_set_are_counted_together() -> None:
    registry = Registry()
    counts = registry.counts("asks", "Questions.", outcome=("ok", "no"))

    for outcome in ("ok", "ok", "Anna", "Bert"):
        counts.add(outcome)

    assert 'asks_total{outcome="ok"} 2.0' in lines(registry)
    assert f'asks_total{{outcome="{OTHER}"}} 2.0' in lines(registry)
    assert not any("Anna" in line for line in lines(registry))


def test_series_are_there_before_their_first_event() -> None:
    registry = Registry()
    registry.counts("asks", "Questions.", action=("list", "play"), outcome=("ok",))

    seen = lines(registry)

    assert {
        'asks_total{action="list",outcome="ok"} 0.0',
        'asks_total{action="play",outcome="ok"} 0.0',
    } == seen - lines(Registry())


def test_counter_may_have_no_labels() -> None:
    registry = Registry()
    counts = registry.counts("failures", "Failures.")

    counts.add()

    assert "failures_total 1.0" in lines(registry)


def test_names_of_others_are_not_remembered() -> None:
    counts = Registry().counts("asks", "Questions.", outcome=("ok",))

    for number in range(100):
        counts.add(f"name {number}")

    assert len(counts._series) == 1


def test_request_is_counted_by_the_class_of_its_status() -> None:
    registry = Registry()
    requests = registry.timings(
        "seconds", "Requests.", (0.1, 1.0), route=("/a",), status=("none", "2xx")
    )  # fmt: skip

    requests.add_request("/a", 204, 0.05)
    requests.add_request("/a", 0, 3.0)

    seen = lines(registry)
    assert 'seconds_bucket{le="0.1",route="/a",status="2xx"} 1.0' in seen
    assert 'seconds_bucket{le="1.0",route="/a",status="none"} 0.0' in seen
    assert 'seconds_count{route="/a",status="none"} 1.0' in seen


def test_numbers_of_other_objects_are_read_anew_each_time() -> None:
    registry, held = Registry(), [1.0]
    registry.gauge("waiting", "Waiting.", lambda: held[0])
    registry.total("shipped", "Shipped.", lambda: held[0] * 10)

    before = lines(registry)
    held[0] = 2.0
    after = lines(registry)

    assert {"waiting 1.0", "shipped_total 10.0"} <= before
    assert {"waiting 2.0", "shipped_total 20.0"} <= after
