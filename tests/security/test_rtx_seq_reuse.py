"""No record number is used twice, not even around an exchange of cookies under loss."""

from __future__ import annotations

import random

import pytest

from tests.dtls.duo import Duo
from xp2p_trio import dtls


@pytest.mark.parametrize("seed", range(20))
def test_record_numbers_only_rise(seed: int) -> None:
    generator = random.Random(seed)
    duo = Duo(
        configuration=dtls.Configuration(require_cookie=True),
        fate=lambda index, from_client, datagram: (
            [(generator.random() * 0.2, datagram)] * generator.choice((0, 1, 1, 2))
        ),
    )
    duo.begin()
    duo.run(lambda: duo.is_connected)
    assert duo.is_connected
    newest: dict[tuple[bool, int], int] = {}
    for from_client, datagram in duo.sent:
        for record in dtls.decode_records(datagram):
            key = from_client, record.epoch
            assert record.sequence_number == newest.get(key, -1) + 1
            newest[key] = record.sequence_number
