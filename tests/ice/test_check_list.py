"""The check list: freezing, order, triggered checks, the limit."""

from __future__ import annotations

from xp2p_trio.ice import Candidate, CandidateType, PairState, Role
from xp2p_trio.ice.candidates import LocalCandidate
from xp2p_trio.ice.check_list import MAX_TRIGGERED_IN_A_ROW, CheckList
from xp2p_trio.ice.pair import Pair


def make_pair(n: int, foundation: str = "f", priority: int = 1000) -> Pair:
    ours = Candidate("1", 1, "udp", 2**31 - 1, "10.0.0.1", 9, CandidateType.HOST)
    theirs = Candidate(foundation, 1, "udp", priority, "10.0.0.2", n, CandidateType.HOST)
    return Pair(LocalCandidate(ours, ours.address, 65535), theirs, Role.CONTROLLING)


def states(pairs: list[Pair]) -> list[str]:
    return [pair.state.name for pair in pairs]


def test_one_of_a_foundation_waits_and_the_rest_are_frozen_until_it_succeeds() -> None:
    check_list = CheckList(10)
    pairs = [make_pair(1, "a", 30), make_pair(2, "a", 20), make_pair(3, "b", 10)]
    for pair in pairs:
        assert check_list.add(pair)
    assert states(pairs) == ["WAITING", "FROZEN", "WAITING"]
    assert check_list.take() is pairs[0]
    assert check_list.take() is pairs[2]
    assert check_list.take() is None
    check_list.succeed(pairs[0])
    assert states(pairs) == ["SUCCEEDED", "WAITING", "IN_PROGRESS"]
    late = make_pair(4, "a", 5)
    check_list.add(late)
    assert late.state is PairState.WAITING


def test_failure_thaws_nothing_at_once_but_the_next_turn_does() -> None:
    check_list = CheckList(10)
    pairs = [make_pair(1, "a", 30), make_pair(2, "a", 20), make_pair(3, "a", 25)]
    for pair in pairs:
        check_list.add(pair)
    check_list.take()
    check_list.fail(pairs[0], "timed out")
    assert states(pairs) == ["FAILED", "FROZEN", "FROZEN"]
    assert check_list.take() is pairs[2]  # by priority
    assert check_list.take() is None


def test_a_check_that_had_to_be_repeated_holds_its_like_no_more() -> None:
    check_list = CheckList(10)
    pairs = [make_pair(1, "a", 30), make_pair(2, "a", 20)]
    for pair in pairs:
        check_list.add(pair)
    check_list.take()
    assert check_list.peek() is None
    pairs[0].is_overdue = True
    assert check_list.take() is pairs[1]


def test_triggered_checks_go_first_and_in_their_order() -> None:
    check_list = CheckList(10)
    pairs = [make_pair(n, str(n), n) for n in range(1, 5)]
    for pair in pairs:
        check_list.add(pair)
    check_list.trigger(pairs[1])
    check_list.trigger(pairs[0])
    check_list.trigger(pairs[1])
    assert [check_list.take() for _ in range(5)] == [pairs[1], pairs[0], pairs[3], pairs[2], None]


def test_the_limit_discards_the_lowest_that_is_not_in_use() -> None:
    check_list = CheckList(3)
    pairs = [make_pair(n, str(n), n * 10) for n in range(1, 4)]
    for pair in pairs:
        check_list.add(pair)
    assert not check_list.add(make_pair(9, "9", 5))
    better = make_pair(8, "8", 99)
    assert check_list.add(better)
    assert pairs[0].path not in check_list.pairs
    check_list.fail(better, "timed out")
    assert check_list.add(make_pair(7, "7", 1))  # a failed one makes room for any
    assert better.path not in check_list.pairs
    for pair in check_list.pairs.values():
        check_list.trigger(pair)
    assert not check_list.add(make_pair(6, "6", 1000))
    assert len(check_list.pairs) == 3


def test_completion_drops_what_was_not_checked() -> None:
    check_list = CheckList(10)
    pairs = [make_pair(n, str(n), n) for n in range(1, 6)]
    for pair in pairs:
        check_list.add(pair)
    check_list.take()
    check_list.succeed(pairs[3])
    check_list.trigger(pairs[0])
    check_list.trigger(pairs[1])
    pairs[1].nominate_on_success = 1
    check_list.complete(None)
    assert list(check_list.pairs.values()) == [pairs[1], pairs[3], pairs[4]]
    assert check_list.take() is pairs[1]
    assert check_list.take() is None


def test_completion_keeps_what_works_and_is_being_asked_again() -> None:
    check_list = CheckList(10)
    pairs = [make_pair(n, str(n), n) for n in range(1, 3)]
    for pair in pairs:
        check_list.add(pair)
        pair.valid_local = pair.local.candidate
        check_list.succeed(pair)
        check_list.trigger(pair)
    check_list.succeed(pairs[0])
    check_list.complete(None)
    assert list(check_list.pairs.values()) == pairs
    assert check_list.take() is pairs[1]


def test_priorities_follow_the_role() -> None:
    check_list = CheckList(10)
    pair = make_pair(1, "a", 30)
    check_list.add(pair)
    before = pair.priority
    check_list.compute_priorities(Role.CONTROLLED)
    assert pair.priority == before - 1  # the last bit tells whose is larger


def test_after_three_triggered_checks_an_ordinary_one_has_its_turn() -> None:
    check_list = CheckList(20)
    pairs = [make_pair(n, str(n), n) for n in range(1, 11)]
    for pair in pairs:
        check_list.add(pair)
    for pair in pairs[:7]:
        check_list.trigger(pair)
    order = [check_list.take() for _ in range(10)]
    assert order == [*pairs[:3], pairs[9], *pairs[3:6], pairs[8], pairs[6], pairs[7]]
    assert MAX_TRIGGERED_IN_A_ROW == 3


def test_triggered_checks_go_on_while_there_are_no_others() -> None:
    check_list = CheckList(20)
    pairs = [make_pair(n, str(n), n) for n in range(1, 8)]
    for pair in pairs:
        check_list.add(pair)
        check_list.trigger(pair)
    assert [check_list.take() for _ in range(8)] == [*pairs, None]


def test_pairs_that_trigger_each_other_without_end_leave_every_other_its_turn() -> None:
    """Each check taken is triggered anew; the others are all checked meanwhile, in their order."""
    check_list = CheckList(20)
    pairs = [make_pair(n, str(n), n) for n in range(1, 11)]
    for pair in pairs:
        check_list.add(pair)
    restless = pairs[:4]
    for pair in restless:
        check_list.trigger(pair)
    ordinary: list[Pair | None] = []
    for _ in range(24):
        taken = check_list.take()
        if taken in restless:
            check_list.trigger(taken)
        else:
            ordinary.append(taken)
    assert ordinary == pairs[:3:-1]


def test_what_is_held_back_lets_others_go_first_and_is_not_forgotten() -> None:
    held: set[Pair] = set()
    check_list = CheckList(20, held.__contains__)
    pairs = [make_pair(n, str(n), n) for n in range(1, 5)]
    for pair in pairs:
        check_list.add(pair)
    check_list.trigger(pairs[0])
    check_list.trigger(pairs[1])
    held.update((pairs[0], pairs[3]))
    assert [check_list.take() for _ in range(3)] == [pairs[1], pairs[2], None]
    held.clear()
    assert [check_list.take() for _ in range(3)] == [pairs[0], pairs[3], None]
