"""The rate limit is a bucket of tokens for each key."""

from downstream.study import site
from downstream.study.site import RateLimit


def test_a_burst_then_a_steady_rate_for_each(monkeypatch) -> None:
    now = [0.0]
    limit = RateLimit(2.0, 3, clock=lambda: now[0])
    assert [limit.allows("one") for _ in range(4)] == [True, True, True, False]
    assert limit.allows("other")
    now[0] = 0.49
    assert not limit.allows("one")
    now[0] = 0.51
    assert limit.allows("one")
    assert not limit.allows("one")
    now[0] = 100.0
    assert [limit.allows("one") for _ in range(4)] == [True, True, True, False]
    monkeypatch.setattr(site, "MOST_REMEMBERED", 10)
    for key in range(100):
        limit.allows(key)
    assert len(limit._buckets) <= 13
