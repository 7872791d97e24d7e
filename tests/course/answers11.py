"""Chapter 11: right answers written otherwise, and wrong ones with words that the check must find."""

import math
from fractions import Fraction

import numpy as np
import torch
from scipy.stats import binomtest, norm, permutation_test, ttest_ind

from elsface_lite.course.checks.chapter11 import difference_interval, shuffled_p, sign_test

QUESTIONS = (
    "What it is for",
    "What it must not be used for",
    "Who is in the training data",
    "Results, with their intervals",
    "Known failures, with numbers",
)
CARD = dict(
    zip(
        QUESTIONS,
        (
            "For learning how face super-resolution works, and for making small portraits nicer to look at.",
            "Finding out who somebody is, evidence of any kind, surveillance, and anything that is commercial.",
            "Celebrities of CelebA, mostly young and lit by professionals; that they agreed is not documented.",
            "A gain of 3.5 dB over bicubic, 95 % interval from 3.2 to 3.8, measured on 36 made-up faces.",
            "Upside down it loses 1.6 dB of its gain, and with noise it draws grain as wrinkles.",
        ),
        strict=True,
    )
)


RESULTS = (
    "The mean gain over bicubic is 1.53 ± 0.23 dB (made-up people, clean LR faces, n = 36).",
    "On 36 portraits it gains 1.53 dB over bicubic, with a 95 % CI [1.30, 1.76] by the bootstrap.",
    "Measured on 36 made-up people the gain over bicubic is 1.53dB, and the interval 1.30-1.76.",
    "Gain over bicubic, measured on 36 images of made-up people: 1.53 (1.30, 1.76) dB.",
    "The blind weights gain +1.53 dB, 1.30 to 1.76, over bicubic on N=36 faces with JPEG of quality 30.",
    "Under noise of 0.05 its gain over bicubic is −0.03 dB, 95 % interval −0.23 to +0.18, of 18 persons.",
    "PSNR is 28.52 dB on average, interval from 27.9 dB to 29.1 dB, on the 36 made-up faces.",
)


def with_results(text):
    return CARD | {QUESTIONS[3]: text}


def by_numpy(a, b, share=0.95, seed=0):
    random = np.random.default_rng(seed)
    a, b = a.numpy(), b.numpy()
    means = [random.choice(group, (2000, len(group))).mean(1) for group in (a, b)]
    return np.quantile(means[0] - means[1], [(1 - share) / 2, (1 + share) / 2])


def by_welch(a, b):
    gap, error = a.mean() - b.mean(), (a.var() / len(a) + b.var() / len(b)).sqrt()
    return gap - 1.96 * error, gap + 1.96 * error


def subtracted(a, b):
    ends = [(x.mean() - 1.96 * x.std() / len(x) ** 0.5, x.mean() + 1.96 * x.std() / len(x) ** 0.5) for x in (a, b)]
    return ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]


def one_tail(wins, losses):
    return sum(math.comb(wins + losses, k) for k in range(min(wins, losses) + 1)) / 2 ** (wins + losses)


def by_tosses(wins, losses, turns=100_000):
    tossed = torch.rand(turns, wins + losses, generator=torch.Generator().manual_seed(1)) < 0.5
    heads = tossed.sum(1)
    return ((2 * heads - wins - losses).abs() >= abs(wins - losses)).double().mean()


def by_bell(wins, losses, half=0):
    return min(1, 2 * norm.sf(max(abs(wins - losses) - half, 0) / (wins + losses) ** 0.5))


def mid_p(wins, losses):
    return 2 * one_tail(wins, losses) - math.comb(wins + losses, wins) / 2 ** (wins + losses)


def of_medians(a, b):
    torch.manual_seed(0)
    middles = [group[torch.randint(len(group), (1000, len(group)))].median(1).values for group in (a, b)]
    return (middles[0] - middles[1]).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))


def by_t_test(equal_var):
    return lambda values, member: ttest_ind(values[member], values[~member], equal_var=equal_var).pvalue


def by_scipy(values, member):
    values, member = values.numpy(), member.numpy()
    found = permutation_test(
        (values[member], values[~member]), lambda a, b: a.mean() - b.mean(), n_resamples=2000, rng=0
    )
    return found.pvalue


def one_sided(values, member):
    generator = torch.Generator().manual_seed(0)
    shuffles = [member[torch.randperm(len(member), generator=generator)] for _ in range(2000)]
    gap = values[member].mean() - values[~member].mean()
    return torch.stack([values[s].mean() - values[~s].mean() >= gap for s in shuffles]).double().mean()


def by_dealing(values, member):
    return dealt(values, lambda: member[torch.randperm(len(member))], member)


def dealt(values, deal, member):
    torch.manual_seed(0)
    apart = [(values[m].mean() - values[~m].mean()).abs() for m in (member, *(deal() for _ in range(2000)))]
    return (torch.stack(apart[1:]) >= apart[0] - 1e-12).double().mean()


def drawn(a, b, n, m):
    torch.manual_seed(0)
    means = [group[torch.randint(len(group), (1000, many))].mean(1) for group, many in ((a, n), (b, m))]
    return (means[0] - means[1]).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))


RIGHT = {
    "difference_interval": [difference_interval, by_numpy, by_welch, lambda a, b: torch.stack(by_welch(a, b))],
    "sign_test": [
        sign_test,
        lambda wins, losses: binomtest(wins, wins + losses).pvalue,
        lambda wins, losses: torch.tensor(min(1, 2 * one_tail(wins, losses))),
        by_tosses,
        lambda wins, losses: min(Fraction(1), Fraction(2 * one_tail(wins, losses))),
    ],
    "11.1": [55, 55.0, 56, torch.tensor(55)],
    "11.2": [shuffled_p, by_scipy, by_dealing],
    "11.3": [CARD, CARD | {"More": "to say"}, *map(with_results, RESULTS)],
}
WRONG = {
    "difference_interval": [
        (lambda a, b: by_numpy(a, b, 0.9), "90 %"),
        (lambda a, b: by_numpy(a, b, 0.99), "99 %"),
        (subtracted, "subtracted|drawn by itself"),
        (lambda a, b: drawn(a, b, len(a), len(a)), "as many values as it has"),
        (lambda a, b: drawn(a, b, *[min(len(a), len(b))] * 2), "as many values as it has"),
        (lambda a, b: difference_interval(b, a), "sign"),
        (lambda a, b: sorted(map(abs, difference_interval(a, b))), "sign"),
        (lambda a, b: difference_interval(a, b)[::-1], "low end"),
        (lambda a, b: (a.min(), a.max()), "misses|times as wide"),
        (of_medians, "medians: take means"),
        (lambda a, b: print(end=""), "return"),
    ],
    "sign_test": [
        (one_tail, "One side"),
        (lambda w, k: 2 * one_tail(w, k), "above 1"),
        (lambda w, k: min(1, 2 * math.comb(w + k, k) / 2 ** (w + k)), "exactly"),
        (by_bell, "bell curve is only near"),
        (lambda w, k: by_bell(w, k, half=1), "corrected by half"),
        (mid_p, "not by half"),
        (lambda w, k: by_tosses(w, k, turns=300), "you give"),
        (lambda w, k: 0.05, "you give 0.05"),
        (lambda w, k: print(end=""), "return"),
    ],
    "11.1": [
        (54, "0.302"),
        (54.6, "whole"),
        (57, "1.96"),
        (27, "one mean"),
        (28, "one mean"),
        (39, "90 %"),
        (110, "both groups"),
        (5, "With 5"),
    ],
    "11.2": [
        (one_sided, "One side"),
        (lambda values, member: 1 - shuffled_p(values, member), "at least as large"),
        (lambda values, member: dealt(values, lambda: torch.rand(len(member)) < 0.5, member), "as far apart"),
        (
            lambda values, member: dealt(values, lambda: member[torch.randint(len(member), member.shape)], member),
            "every label once",
        ),
        (by_t_test(True), "bell curve"),
        (by_t_test(False), "bell curve|as far apart"),
        (lambda values, member: 0.5, "you give 0.50"),
        (lambda values, member: 40.0, "between 0 and 1"),
        (lambda values, member: print(end=""), "return"),
    ],
    "11.3": [
        (dict.fromkeys(QUESTIONS, "dB 1 2 " + "bla " * 12), "say something"),
        (dict.fromkeys(QUESTIONS, ""), "10 words"),
        (dict.fromkeys(QUESTIONS, CARD[QUESTIONS[3]]), "one answer"),
        ({"Results, with their intervals": "30 dB"}, "missing"),
        (
            CARD | {QUESTIONS[3]: "It gains three point five decibels over bicubic, from the first face to the last."},
            "dB",
        ),
        (
            CARD | {QUESTIONS[3]: "It gains 3.5 dB over bicubic, measured on 36 made-up faces that nobody knows."},
            "interval",
        ),
        (with_results("Alpha beta gamma delta epsilon zeta eta theta 1 dB 5 faces interval iota kappa."), "interval"),
        (
            with_results(
                "The difference between it and bicubic, which it was measured against, is 1.53 dB on 36 faces."
            ),
            "interval",
        ),
        (with_results("The gain of these weights lies between 1.30 and 1.76 dB on the 36 made-up faces."), "the mean"),
        (
            with_results("It gains 1.53 dB over bicubic, with an interval from 2.1 to 2.6, on 36 made-up faces."),
            "around",
        ),
        (with_results("It gains 99 dB over bicubic, 95 % interval from 98 to 100, on 36 made-up faces."), "99 dB"),
        (CARD | {QUESTIONS[4]: "Upside down it loses much of its gain, and grain is drawn as wrinkles."}, "number"),
    ],
}
