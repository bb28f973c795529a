from __future__ import annotations

from datetime import timedelta

from sizing.hardware.kubernetes_releases import releases_of


def test_eks_supports_a_release_for_a_year_beyond_the_standard():
    offered = releases_of("aws")
    assert offered is not None
    for support in offered.releases.values():
        assert support.extended_until - support.standard_until in (timedelta(days=365), timedelta(days=366))


def test_what_is_offered_is_in_order_and_still_supported():
    offered = releases_of("aws")
    assert offered is not None
    assert list(offered.releases) == sorted(offered.releases)
    assert min(support.extended_until for support in offered.releases.values()) > offered.as_of


def test_gke_has_channels_and_no_releases():
    assert releases_of("gcp") is None
