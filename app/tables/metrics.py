"""What metrics are called, what they mean and in which order they stand. Start with `name_metric`.

A metric of lm-eval may carry its filter in parentheses ("exact_match (strict-match)").
"""

from __future__ import annotations

METRIC_TITLES = {
    "perplexity": "Perplexity",
    "acc_norm": "Normalized accuracy",
    "acc": "Accuracy",
    "accuracy": "Accuracy",
    "adversarial_accuracy": "Adversarial accuracy",
    "token_change_rate": "Token change rate",
    "exact_match": "Exact match",
    "f1": "F1",
    "matthews_correlation": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rougeLsum": "ROUGE-Lsum",
    "kl_divergence": "KL divergence",
    "top1_agreement": "Top-1 agreement",
    "loss": "Loss",
}
METRIC_MEANINGS = {
    "perplexity": "How surprised the model is by held-out text",
    "acc_norm": "Questions answered right, each answer's likelihood divided by its length",
    "acc": "Questions answered right by the likelihood of the whole answer",
    "accuracy": "Examples whose class is told right",
    "adversarial_accuracy": "Attacked texts whose class is still told right",
    "token_change_rate": "Share of its tokens an attack had to change; more is harder for it",
    "exact_match": "Questions whose answer is exactly right",
    "f1": "Harmonic mean of precision and recall: of the positive class, or of an answer's words",
    "matthews_correlation": "Correlation of told and true classes, fair to rare ones",
    "pearson": "Linear correlation of told and true similarity",
    "spearman": "Correlation of the ranks of told and true similarity",
    "rouge1": "Words a summary shares with the reference",
    "rouge2": "Pairs of words a summary shares with the reference",
    "rougeL": "Longest common sequence of words of summary and reference",
    "rougeLsum": "Longest common sequence of words of summary and reference, sentence by sentence",
    "kl_divergence": "Mean divergence from the 16-bit model's predictions, in nats per token",
    "top1_agreement": "How often the most likely token is the 16-bit model's",
}
MEASURED_AGAINST_BASELINE = frozenset({"kl_divergence", "top1_agreement"})


def name_metric(metric: str) -> str:
    """Return the metric's title, with its filter where it has one."""
    plain, space, rest = metric.partition(" (")
    return METRIC_TITLES.get(plain, plain.replace("_", " ").capitalize()) + space + rest


def explain_metric(metric: str) -> str:
    """Return what a metric measures; empty where it is not known."""
    return METRIC_MEANINGS.get(metric.partition(" (")[0], "")


def order_of_metric(metric: str) -> int:
    """Return where a metric stands among others: the well-known ones first."""
    order = list(METRIC_TITLES)
    plain = metric.partition(" (")[0]
    return order.index(plain) if plain in order else len(order)


def name_benchmark(benchmark: str) -> str:
    """Return a benchmark's name: a task's own, or the data of a text."""
    return benchmark.partition("/")[2].removeprefix("bundled:") or benchmark
