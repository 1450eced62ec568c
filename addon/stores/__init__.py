"""Debrid stores, one file each, and the list of them."""

from addon.stores import demo, torbox
from addon.stores.base import Offer

STORES: tuple[Offer, ...] = (
    Offer(
        torbox.INFO,
        lambda parts: torbox.TorBox(
            parts.http, parts.budget, parts.clock, parts.base_url, parts.rates
        ),
    ),
    Offer(demo.INFO, lambda parts: demo.Demo(parts.base_url)),
)
