"""What makes a step fast: the bare step of throughput.py with one thing changed.

    python benchmarks/steps.py --settings gray8,auto32,auto64 --rounds 5

Prints how many times as long a step takes without each thing, median and range of
rounds in which the variants take turns.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch
from contenders import bare_step
from machine import describe
from throughput import make_task

VARIANTS = {
    "as it is": {},
    "in float32": {"precision": "float32"},
    "not channels last": {"memory_format": torch.contiguous_format},
    "memory not kept": {"keeps_memory": False},
    "optimizer not fused": {"is_fused": False},
    "compiled": {"is_compiled": True},
}


def measure(setting, arguments, device):
    """Seconds of each variant, round by round."""
    trains = {}
    for name in arguments.variants.split(","):
        options = dict(VARIANTS[name])
        precision = options.pop("precision", "bfloat16")
        task = make_task(setting, arguments.steps, device, precision)
        trains[name] = bare_step(task, **options)
        trains[name]()
    return [
        {name: train() for name, train in trains.items()}
        for _ in range(arguments.rounds)
    ]


def main():
    """Run, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", default="gray8,auto32,auto64")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    where = describe(device)
    print(json.dumps(where, indent=1))
    found = {}
    for setting in arguments.settings.split(","):
        rounds = measure(setting, arguments, device)
        found[setting] = rounds
        print(setting)
        for name in rounds[0]:
            ratios = sorted(seconds[name] / seconds["as it is"] for seconds in rounds)
            median = statistics.median(ratios)
            print(f"  {name:<22}{median:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    if arguments.json:
        arguments.json.write_text(json.dumps({**where, "seconds": found}, indent=1))


if __name__ == "__main__":
    main()
