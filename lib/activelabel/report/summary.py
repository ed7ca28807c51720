"""The findings in sentences for readers without statistics, with the numbers behind them."""

from collections.abc import Iterable, Iterator, Sequence

from activelabel.analysis.comparison import FEWEST_SEEDS, Comparison
from activelabel.report.findings import ENOUGH, SIGNIFICANT, Findings, efforts_to_reach
from activelabel.report.page import shown
from activelabel.simulation.results import EFFORTS


def summarise(findings: Findings) -> Iterator[str]:
    """Sentences on the compared arms, the winner, its significance, how much is enough, and whether to go on."""
    yield _compared(findings)
    yield from _winner(findings)
    yield _enough(findings)
    ahead = findings.under[findings.main].forecasts.get(findings.best)
    if ahead is not None:
        yield f"`{findings.best}`: {ahead.sentence}"
    if findings.results.shorter:
        yield (
            "Some runs have fewer rounds than were asked for, because they still go on, were stopped, or had nothing "
            f"left to ask for: {'; '.join(findings.results.shorter)}."
        )
    left_out = [arm for arm in findings.arms if arm in findings.results.unfinished]
    if left_out:
        are, they = ("is", "it") if len(left_out) == 1 else ("are", "they")
        yield (
            f"{_listed(_named(left_out))} {are} not finished, so {they} {are} drawn as far as {they} went, and "
            "compared with none."
        )


def _compared(findings: Findings) -> str:
    results = findings.results
    seeds = {arm: sum(run.arm == arm for run in results.runs) for arm in findings.arms}
    fewest, most = min(seeds.values()), max(seeds.values())
    times = "once" if most == 1 else f"{f'{fewest} to ' if fewest < most else ''}{most} times, each from another start"
    were = "was" if len(findings.arms) == 1 else "were"
    return (
        f"{_listed(_named(findings.arms))} {were} simulated {times}. Every model was judged on the same "
        f"{len(results.test_cases)} test cases by how well its segmentation of {_listed(results.labels)} overlaps with "
        "the true one (Dice, from 0 to 1)."
    )


def _winner(findings: Findings) -> Iterator[str]:
    under = findings.under[findings.main]
    if len(under.ranking) < 2 or under.equal is None:
        yield "There are no two finished strategies yet that can be compared at equal effort."
        return
    aubc = under.ranking["aubc"]
    others = f"{aubc.iloc[1]:.3f} for `{aubc.index[1]}`"
    if len(aubc) > 2:
        others += f", the next best, and {aubc.iloc[-1]:.3f} for `{aubc.index[-1]}`, the last"
    yield (
        f"`{findings.best}` came first: between {under.equal.low:,.0f} and {under.equal.high:,.0f} "
        f"{EFFORTS[under.effort]}, the range that all cover, its mean Dice on the way (AUBC) was {aubc.iloc[0]:.3f}, "
        f"against {others}."
    )
    yield _significance(findings.best, under.tests)


def _significance(first: str, tests: Sequence[Comparison]) -> str:
    """A sentence on the tests of the best arm, which is the first arm in each of its tests."""
    rivals = [test for test in tests if test.arm == first]
    seeds = rivals[0].seeds
    if all(test.seeds < FEWEST_SEEDS for test in rivals):
        return (
            f"Whether that is chance cannot be told from {seeds} seed{'s' if seeds > 1 else ''}: {FEWEST_SEEDS} at "
            "least are needed, and more where differences are small (`--seeds`)."
        )
    ahead = [test for test in rivals if test.p_holm < SIGNIFICANT and test.first_is_better]
    level = [test for test in rivals if test.told and test not in ahead]
    untold = [test for test in rivals if not test.told]
    untested = [f"`{test.against}` ({test.mean_difference:+.3f}; {test.why_untold})" for test in untold]
    claims = []
    if ahead:
        claims.append(f"That is more than chance explains against {_listed([_tested(test) for test in ahead])}.")
    if level:
        than = "It" if ahead else "That is no more than chance explains: it"
        claims.append(f"{than} cannot be told from {_listed([_tested(test) for test in level])}.")
    if untested:
        claims.append(f"Nothing can be tested against {_listed(untested)}.")
    if not ahead and not level:
        return " ".join(claims)
    told = sum(test.told for test in tests)
    return (
        f"{' '.join(claims)} Each test has n = {seeds} seeds, a seed being the mean over its test cases; p is that of "
        f"Student's paired t test, after Holm's correction for {told} test{'' if told == 1 else 's'}. In "
        "brackets: the difference, and where it lies with 95 % for other seeds."
    )


def _tested(test: Comparison) -> str:
    p = shown(test.p_holm, "p")
    lies = f"{test.mean_difference:+.3f}, {test.low:+.3f} to {test.high:+.3f}"
    return f"`{test.against}` ({lies}; p {p if p.startswith('<') else f'= {p}'})"


def _enough(findings: Findings) -> str:
    if findings.full is None:
        return (
            "How much is enough cannot be said: no run had all labels, and the curves do not level off enough to tell."
        )
    reached = efforts_to_reach(findings, findings.main).set_index("arm")["effort"]
    when = [f"`{arm}` after about {effort:,.0f}" for arm, effort in reached.dropna().sort_values().items()]
    never = list(reached[reached.isna()].index)
    full = f"{findings.full.value:.3f}, {findings.full.source}"
    sentence = f"{100 * ENOUGH:.0f} % of the Dice that all labels would bring ({full})"
    if not when:
        return f"{sentence} was not reached by any of them."
    return (
        f"{sentence} was reached by {_listed(when)} {EFFORTS[findings.main]}"
        + (f", and not by {_listed(_named(never))}" if never else "")
        + "."
    )


def _named(arms: Iterable[str]) -> list[str]:
    return [f"`{arm}`" for arm in arms]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
