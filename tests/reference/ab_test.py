"""Reference values for the A/B statistics, from scipy and statsmodels. Writes ab_test.json beside itself.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python ab_test.py

The tests read the JSON only; this script is run again when a case is added.
"""

import itertools
import json
import math
import pathlib

import numpy as np
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportions_ztest,
    samplesize_proportions_2indep_onetail,
)

# (sessions, conversions) of each variant.
COUNTS = [
    [(520, 89), (480, 69)],
    [(1000, 60), (1000, 100)],
    [(1000, 60), (1000, 70)],
    [(100, 0), (100, 0)],
    [(100, 100), (100, 100)],
    [(100, 0), (100, 100)],
    [(100, 0), (100, 1)],
    [(100, 0), (100, 5)],
    [(100, 0), (100, 10)],
    [(100, 100), (100, 95)],
    [(1, 0), (1, 1)],
    [(1, 1), (1, 1)],
    [(1, 0), (1000, 30)],
    [(1, 1), (1000, 30)],
    [(2, 1), (3, 1)],
    [(4, 3), (4, 1)],
    [(4, 4), (4, 0)],
    [(10, 5), (1_000_000, 30_000)],
    [(50, 5), (1_000_000, 30_000)],
    [(1_000_000, 20_000), (1_000_000, 20_500)],
    [(10_000_000, 200_000), (10_000_000, 201_000)],
    [(10_000_000, 3), (10_000_000, 9)],
    [(5_000_000, 4_999_990), (5_000_000, 4_999_999)],
    [(1_000_000, 4), (200, 1)],
    [(100, 7), (100, 2)],
    [(100, 7), (100, 3)],
    [(99, 50), (100, 10)],
    [(300, 30), (300, 30)],
    [(333, 33), (777, 77)],
    [(2000, 40), (150, 9)],
    [(100_000, 50), (100, 3)],
    [(500, 249), (500, 251)],
    [(500, 25), (500, 35), (500, 45)],
    [(1000, 100), (1000, 80), (110, 8)],
    [(100, 0), (100, 0), (100, 8)],
    [(1000, 50), (1000, 50), (1000, 50)],
    [(1, 0), (10, 1), (100_000, 9_000)],
    [(400, 12), (390, 20), (410, 31), (405, 16)],
    [(120, 3), (5000, 150), (70_000, 2_500), (900, 60)],
    [(250, 5), (250, 9), (250, 14), (250, 21), (250, 30)],
    [(1000, 10), (1000, 20), (1000, 30), (1000, 40), (1000, 50)],
    [(600, 18), (610, 22), (590, 25), (605, 31), (595, 12), (620, 40)],
    [(100, 0), (100, 1), (100, 2), (100, 3), (100, 4), (100, 5)],
    [(1_000_000, 30_000), (1_000_000, 30_400), (1_000_000, 30_100), (10, 1), (100, 3), (1000, 35)],
    [(7, 2), (11, 3), (13, 5), (17, 6), (19, 4), (23, 9)],
    [(5_000, 0), (5_000, 1)],
    [(30, 29), (30, 30), (30, 28)],
    [(12_345, 678), (54_321, 3_210)],
]


def proportions(a, b):
    """Test of two rates by the product's rule: pooled z, or Fisher when an expected count is below 5."""
    (n, x), (m, y) = a, b
    if x + y == 0:
        return {"undefined": "no_conversions"}
    if x + y == n + m:
        return {"undefined": "all_converted"}
    expected = min(n, m) * min(x + y, n + m - x - y) / (n + m)
    if expected < 5:
        p = stats.fisher_exact([[x, n - x], [y, m - y]]).pvalue
        return {"test": "fisher_exact", "p_value": float(p)}
    z, p = proportions_ztest([x, y], [n, m])
    return {"test": "pooled_z", "z": float(z), "p_value": float(p)}


def newcombe(a, b):
    low, high = confint_proportions_2indep(a[1], a[0], b[1], b[0], method="newcomb", compare="diff", alpha=0.05)
    return [float(low), float(high)]


def standings(counts):
    """P(best) by integrating over the quantiles of one posterior; E[max] as the integral of 1 - prod F."""
    posteriors = [stats.beta(1 + x, 1 + n - x) for n, x in counts]
    best = []
    for i, own in enumerate(posteriors):
        others = [p for j, p in enumerate(posteriors) if j != i]
        marks = sorted({float(own.cdf(o.ppf(q))) for o in others for q in (1e-9, 1e-4, 0.02, 0.2, 0.5, 0.8, 0.98, 1 - 1e-4, 1 - 1e-9)})
        edges = [0.0] + [m for m in marks if 0 < m < 1] + [1.0]
        total = 0.0
        for low, high in itertools.pairwise(edges):
            value, _ = integrate.quad(
                lambda v: float(np.prod([o.cdf(own.ppf(v)) for o in others])), low, high, epsabs=1e-13, epsrel=1e-12, limit=200
            )
            total += value
        best.append(total)
    marks = sorted({float(p.ppf(q)) for p in posteriors for q in (1e-14, 1e-9, 1e-5, 1e-3, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999, 1 - 1e-5, 1 - 1e-9, 1 - 1e-14)})
    edges = [0.0] + [m for m in marks if 0 < m < 1] + [1.0]
    maximum = 0.0
    for low, high in itertools.pairwise(edges):
        value, _ = integrate.quad(
            lambda x: 1.0 - float(np.prod([p.cdf(x) for p in posteriors])), low, high, epsabs=1e-14, epsrel=1e-12, limit=200
        )
        maximum += value
    return [
        {"probability_best": b, "expected_loss": maximum - (1 + x) / (2 + n)} for b, (n, x) in zip(best, counts, strict=True)
    ]


def paid(n, x, seed):
    """Order values of the converted sessions, long-tailed, to the cent; few enough to be stored."""
    generator = np.random.default_rng(seed)
    return [round(float(v), 2) for v in generator.lognormal(6.5, 0.9, min(x, 40))]


def money(counts, seed):
    paying = [paid(n, x, seed + i) for i, (n, x) in enumerate(counts)]
    pooled = [v for values in paying for v in values]
    cap = float(np.percentile(pooled, 99)) if pooled else None
    answer = {"paying": paying, "cap": cap}
    for name, limit in (("plain", math.inf), ("capped", cap if cap is not None else math.inf)):
        full = []
        for (n, _), values in zip(counts, paying, strict=True):
            sample = np.zeros(n)
            sample[: len(values)] = np.minimum(values, limit)
            full.append(sample)
        pairs = []
        for i, j in itertools.combinations(range(len(counts)), 2):
            if len(full[i]) < 2 or len(full[j]) < 2:
                pairs.append({"undefined": "too_few_values"})
            elif full[i].var() + full[j].var() == 0:
                pairs.append({"undefined": "no_variance"})
            else:
                result = stats.ttest_ind(full[i], full[j], equal_var=False)
                pairs.append({"t": float(result.statistic), "freedom": float(result.df), "p_value": float(result.pvalue)})
        answer[name] = {
            "mean": [float(s.mean()) for s in full],
            "variance": [float(s.var(ddof=1)) if len(s) > 1 else None for s in full],
            "pairs": pairs,
        }
    return answer


def case(number, counts):
    pairs = list(itertools.combinations(range(len(counts)), 2))
    tests = [proportions(counts[i], counts[j]) for i, j in pairs]
    known = [t["p_value"] for t in tests if "p_value" in t]
    adjusted = iter(multipletests(known, method="holm")[1] if known else [])
    for (i, j), test in zip(pairs, tests, strict=True):
        test["newcombe"] = newcombe(counts[i], counts[j])
        if "p_value" in test:
            test["holm"] = float(next(adjusted))
        p, q = (counts[k][1] / counts[k][0] for k in (i, j))
        test["sessions_needed"] = (
            float(samplesize_proportions_2indep_onetail(p - q, q, 0.8, ratio=1, alpha=0.05)) if p != q else None
        )
    weights = [float(k + 1) for k in range(len(counts))]
    observed = np.array([n for n, _ in counts], dtype=float)
    expected = observed.sum() * np.array(weights) / sum(weights)
    ratio = None
    if expected.min() >= 5:
        chi = stats.chisquare(observed, expected)
        ratio = {"chi_square": float(chi.statistic), "p_value": float(chi.pvalue)}
    wilson = [[float(e) for e in proportion_confint(x, n, alpha=0.05, method="wilson")] for n, x in counts]
    return {
        "variants": [{"sessions": n, "conversions": x} for n, x in counts],
        "wilson": wilson,
        "pairs": tests,
        "standings": standings(counts),
        "weights": weights,
        "sample_ratio": ratio,
        "money": money(counts, 1000 * number) if max(n for n, _ in counts) <= 1_000_000 else None,
    }


STUDENT = [(t, v) for t in (0.1, 0.7, 1.96, 3.3, 6.0, 12.0) for v in (1.0, 2.5, 9.0, 100.0, 999.0, 1_990.0, 2_010.0, 10_000.0, 1e6, 1e9)]

if __name__ == "__main__":
    answer = {
        "cases": [case(i, counts) for i, counts in enumerate(COUNTS)],
        "student_two_sided": [{"t": t, "freedom": v, "p_value": float(2 * stats.t.sf(t, v))} for t, v in STUDENT],
    }
    path = pathlib.Path(__file__).with_name("ab_test.json")
    path.write_text(json.dumps(answer, indent=1) + "\n")
    print(len(COUNTS), "cases written to", path.name)
