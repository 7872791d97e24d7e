"""Chapter 11: the sign test, the interval of a difference, and three exercises about what may be claimed."""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .compare import FORGOTTEN, Checks, compare

Interval = tuple[float, float]
LEAST_WORDS = 10  # of an answer on a card
SIZES = ((40, 12), (15, 60), (30, 30), (50, 20))  # of two groups
SKEWED = (400, 300)  # of two more: the middle of the first is far from its mean
TOSSED = 0.005  # what a p by 100,000 simulated tosses may miss
GREATEST = {False: 10, True: 60}  # dB, of a gain, and where the text says PSNR
WIDEST = 10  # dB, of an interval
NUMBER = r"[+-]?\d+(?:\.\d+)?"
ENDS = rf"(?<![\w.+-])(?=({NUMBER})\s?(?:dB\s?)?(?:to|and|[-–—,;])\s?({NUMBER}))"
AROUND = rf"({NUMBER})\s?(?:dB\s?)?(?:±|\+/-)\s?(\d+(?:\.\d+)?)"
MANY = r"\bn\s?=\s?\d+|\b\d+ (?:[\w-]+ ){0,2}(?:faces|people|persons|pictures|portraits|images)\b"


def sign_test(wins: int, losses: int) -> float:
    """How often as lopsided a result comes about by a fair coin, on either side."""
    tosses = wins + losses
    tail = sum(math.comb(tosses, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**tosses)


def check_sign_test(answer: Any) -> str:
    def one_sided(wins: int, losses: int) -> float:
        n = wins + losses
        return sum(math.comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n

    def exactly(wins: int, losses: int) -> float:
        return min(1.0, 2 * math.comb(wins + losses, wins) / 2 ** (wins + losses))

    def normal(wins: int, losses: int) -> float:
        return math.erfc(abs(wins - losses) / math.sqrt(2 * max(wins + losses, 1)))

    def corrected(wins: int, losses: int) -> float:
        return math.erfc(max(abs(wins - losses) - 1, 0) / math.sqrt(2 * max(wins + losses, 1)))

    def halved(wins: int, losses: int) -> float:
        return 2 * one_sided(wins, losses) - math.comb(wins + losses, wins) / 2 ** (wins + losses)

    mistakes = {
        "One side only: as many wins the other way would surprise as much, so count both.": one_sided,
        "It is a probability, and yours is above 1 where both are equal.": lambda w, k: 2 * one_sided(w, k),
        "That is how often exactly this comes about: what is more lopsided counts as well.": exactly,
        "The bell curve is only near for so few: add up the coins themselves.": normal,
        "The bell curve, corrected by half a coin, is still only near: add up the coins themselves.": corrected,
        "This result itself counts in full, not by half: it is as lopsided as it is.": halved,
        "The other tail: add up what is as lopsided as this, or more.": lambda w, k: min(
            1.0, 2 * (1 - one_sided(w, k))
        ),
        "Only wins and losses count: which of them is greater must not matter.": lambda w, k: (
            sum(math.comb(w + k, i) for i in range(w + 1)) / 2 ** (w + k)
        ),
    }
    cases = [(12, 2), (2, 12), (6, 0), (5, 0), (7, 5), (5, 5), (30, 20)]
    return compare(answer, sign_test, cases, mistakes, tolerance=TOSSED)


def difference_interval(a: Tensor, b: Tensor, seed: int = 0) -> Interval:
    """95 % interval of the mean of a less that of b, by resampling each group by itself."""
    generator = torch.Generator().manual_seed(seed)
    means = [
        group.double()[torch.randint(len(group), (1000, len(group)), generator=generator)].mean(1) for group in (a, b)
    ]
    low, high = (means[0] - means[1]).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def check_difference_interval(answer: Any) -> str:
    widths = []
    for seed, (n, m) in enumerate((*SIZES, SKEWED)):
        generator = torch.Generator().manual_seed(seed)
        a = 3 + 0.5 * (seed + 1) * torch.randn(n, generator=generator, dtype=torch.float64)
        b = 1 + 4 * (seed % 2) + torch.randn(m, generator=generator, dtype=torch.float64)
        a = ((a - 3) / 3).exp() if (n, m) == SKEWED else a
        found = answer(a.clone(), b.clone())
        if found is None:
            return FORGOTTEN
        low, high = (float(end) for end in found)
        right, gap = difference_interval(a, b), (a.mean() - b.mean()).item()
        if low > high:
            return "The low end comes first: yours is above the high one."
        if not low <= gap <= high:
            if low <= -gap <= high:
                return "The sign is wrong: a less b."
            middles = (a.median() - b.median()).item()
            return f"It misses the difference of the means, {gap:.2f}" + (
                ", and holds that of the medians: take means." if low <= middles <= high else "."
            )
        widths.append((high - low) / (right[1] - right[0]))
    widths = widths[: len(SIZES)]
    width = sum(widths) / len(widths)
    worst = max(range(len(SIZES)), key=lambda case: abs(widths[case] - 1))
    if abs(width - 1) < 0.09 and abs(widths[worst] - 1) < 0.25:
        return ""
    if max(widths) > 1.35 * min(widths):
        n, m = SIZES[worst]
        return (
            f"With {n} and {m} values your interval is {widths[worst]:.2f} times as wide as one of 95 %. "
            "Is each group drawn by itself, as many values as it has?"
        )
    shares = {0.84: "one of 90 %", 0.51: "one of 68 %", 1.33: "one of 99 %, or two intervals, subtracted"}
    nearest = min(shares, key=lambda share: abs(share - width))
    which = f", like {shares[nearest]}" if abs(nearest - width) < 0.08 else ""
    return (
        f"On average your interval is {width:.2f} times as wide as one of 95 %{which}. Is each group drawn by itself?"
    )


def check_group_size(answer: Any) -> str:
    found = float(answer)
    if found in (55, 56):  # 56 with Student's factor in place of 1.96
        return ""
    if 54 < found < 55:
        return "Nearly: people come whole."
    near = {
        54: "With 54 it still reaches 0.302 dB: round up.",
        57: "2 standard errors are a little more than 95 %: take 1.96.",
        27: "That is for one mean: a difference of two groups has the variances of both.",
        28: "That is for one mean: a difference of two groups has the variances of both.",
        38: "Which factor belongs to 95 %? 1.645 is that of 90 %.",
        39: "Which factor belongs to 95 %? 1.645 is that of 90 %.",
        14: "The interval reaches 1.96 standard errors to either side.",
        15: "The interval reaches 1.96 standard errors to either side.",
        109: "That is both groups together: how many are in each?",
        110: "That is both groups together: how many are in each?",
    }
    return near.get(round(found), f"With {found:.4g} in each group the interval reaches another way than 0.3 dB.")


def check_shuffled(answer: Any) -> str:
    found, right = [], []
    cases = []
    for seed, members, shift in ((0, 20, 0.0), (1, 6, 0.9), (2, 20, 0.8), (3, 14, -0.6)):  # 6: no coin deals so few
        generator = torch.Generator().manual_seed(seed)
        member = torch.arange(40) < members
        cases.append((torch.randn(40, generator=generator, dtype=torch.float64) + shift * member, member))
    cases.append((torch.tensor([9, 0.62, 0.53, 0.41, 0.3, 0.22, 0.11, 0]).double(), torch.arange(8) < 4))  # one far off
    for values, member in cases:
        result = answer(values.clone(), member.clone())
        if result is None:
            return FORGOTTEN
        found.append(float(result))
        right.append(shuffled_p(values, member, turns=4000))
    if not all(0 <= p <= 1 for p in found):
        return f"It is a share of the shuffles, between 0 and 1: you give {max(found, key=abs):.3g}."
    apart = [abs(a - b) for a, b in zip(found, right, strict=True)]
    if max(apart) < 0.05:
        return ""
    if all(abs(a - b / 2) < 0.04 or abs(1 - a - b / 2) < 0.04 for a, b in zip(found, right, strict=True)):
        return "One side only: a difference the other way would surprise as much, so compare absolute values."
    if all(abs(1 - a - b) < 0.05 for a, b in zip(found, right, strict=True)):
        return "Count the shuffles whose difference is at least as large as the real one, not those below."
    if max(apart[:-1]) < 0.05:
        return (
            f"With eight values, one of them far off, {right[-1]:.2f} of the deals are as far apart; you give "
            f"{found[-1]:.2f}. Does each deal hold every label once, and do you count deals, without a bell curve?"
        )
    worst = max(range(len(cases)), key=apart.__getitem__)
    return f"Where {right[worst]:.2f} of the shuffles are as far apart as the real groups, you give {found[worst]:.2f}."


def shuffled_p(values: Tensor, member: Tensor, turns: int = 1000, seed: int = 0) -> float:
    """How often groups that are drawn at random are as far apart as these two."""
    generator = torch.Generator().manual_seed(seed)

    def apart(chosen: Tensor) -> Tensor:
        return (values[chosen].mean() - values[~chosen].mean()).abs()

    shuffles = [member[torch.randperm(len(member), generator=generator)] for _ in range(turns)]
    return torch.stack([apart(chosen) >= apart(member) - 1e-12 for chosen in shuffles]).double().mean().item()


def check_card(answers: Any, questions: Sequence[str]) -> str:
    texts = {question: str(answers[question]) for question in questions if question in answers}
    words = {question: re.findall(r"[^\W\d_]{2,}", text.lower()) for question, text in texts.items()}
    if missing := [question for question in questions if question not in texts]:
        return f"This question is missing: {missing[0]!r}."
    for question, some in words.items():
        if len(some) < LEAST_WORDS or len(set(some)) < 0.6 * len(some):
            return f"{question!r} wants a sentence or two, {LEAST_WORDS} words or more, that say something."
    if len({" ".join(some) for some in words.values()}) < len(questions):
        return "Two questions have one answer."
    results = next(text for question, text in texts.items() if question.startswith("Results"))
    if problem := _without_interval(results.replace("−", "-")):
        return problem
    failures = next(text for question, text in texts.items() if question.startswith("Known failures"))
    return "" if re.search(r"\d", failures) else "The known failures want a number: how often, or by how much?"


def _without_interval(results: str) -> str:
    """What is missing of a mean in dB, how many faces it is of, and two numbers around it."""
    if not re.search(r"\d[\])]?\s?dB", results) or not re.search(MANY, results, re.IGNORECASE):
        return "Results need a number of dB, and on how many faces it was measured."
    ends = [tuple(map(float, pair)) for pair in re.findall(ENDS, results)]
    ends += [(float(mean) - float(half), float(mean) + float(half)) for mean, half in re.findall(AROUND, results)]
    numbers = [float(number) for number in re.findall(rf"(?<![\w.]){NUMBER}", results)]
    means = [x for x in numbers if any(low < x < high < low + WIDEST for low, high in ends)]
    if not means:
        return "A result without its interval says less than it seems: give the mean, and two numbers around it."
    least = min(means, key=abs)
    return "" if abs(least) <= GREATEST["psnr" in results.lower()] else f"No network gains {least:g} dB: measure again."


CHECKS: Checks = {
    "difference_interval": check_difference_interval,
    "sign_test": check_sign_test,
    "11.1": check_group_size,
    "11.2": check_shuffled,
    "11.3": check_card,
}
