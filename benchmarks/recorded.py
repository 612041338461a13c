"""A step as a CUDA graph: recorded once, then replayed by one launch.

An experiment on the library's own parts, for gpu.py: views, and what a step learns from
them, are each recorded for every size of a batch, after a few calls that are not.
"""

from collections import Counter
from contextlib import contextmanager

import torch

from sklearn_byol.objective import learning_rate_at, momentum_at
from sklearn_byol.training import _loop, _run

N_BEFORE = 3  # calls of a size before it is recorded: libraries choose what they do


class Recorded:
    """A function of tensors on a GPU that is replayed where it was recorded.

    What it returns lies in the same memory each time, and holds until the next call.
    """

    def __init__(self, function, device, generators=(), pool=None):
        self.function, self.device, self.generators = function, device, generators
        self.stream = torch.cuda.Stream(device)
        self.pool = pool or torch.cuda.graph_pool_handle()
        self.n_calls = Counter()
        self.graphs = {}

    def __call__(self, *inputs):
        """Call, record, or replay."""
        key = tuple(tensor.shape for tensor in inputs)
        if key not in self.graphs:
            self.n_calls[key] += 1
            if self.n_calls[key] <= N_BEFORE:
                return self.function(*inputs)
            self.graphs[key] = self._record(inputs)
        graph, kept, outputs = self.graphs[key]
        for mine, given in zip(kept, inputs, strict=True):
            if mine is not given:
                mine.copy_(given)
        graph.replay()
        return outputs

    def _record(self, inputs):
        """Record the function; nothing is computed by that."""
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)
        options = {"pool": self.pool, "stream": self.stream}
        with torch.cuda.graph(graph, **options, capture_error_mode="thread_local"):
            outputs = self.function(*inputs)
        return graph, inputs, outputs


class RecordedStep:
    """Stands in for train_step, with views and what is learned from them recorded."""

    def __init__(self):
        self.training = None

    def prepare(self, training):
        """Record from now on."""
        self.training = training
        device = training.plan.device
        pool = torch.cuda.graph_pool_handle()
        self.lr = torch.zeros((), device=device)
        self.momentum = torch.zeros((), dtype=torch.float64, device=device)

        def learn(view_1, view_2, lr, momentum):
            groups = training.net.optimizer_.param_groups
            before = [(group["lr"], group.get("capturable")) for group in groups]
            for group in groups:
                group["lr"] = lr
                if "capturable" in group:
                    group["capturable"] = True
            figures = _loop.learn(training, (view_1, view_2), momentum)
            for group, (rate, capturable) in zip(groups, before, strict=True):
                group["lr"] = rate
                if "capturable" in group:
                    group["capturable"] = capturable
            return figures

        self.learn = Recorded(learn, device, pool=pool)
        batches, draw = training.batches, training.batches.views
        generator = batches.view_generator
        drawn = Recorded(
            lambda images: draw(images, generator), device, [generator], pool
        )
        batches.views = lambda images, generator: drawn(images)

    def __call__(self, training, views):
        """Take a step, as train_step does."""
        if self.training is not training:
            self.prepare(training)
        net, plan = training.net, training.plan.schedule
        lr = learning_rate_at(net.step_, plan.n_steps, plan.n_warmup, plan.lr)
        for group in net.optimizer_.param_groups:
            group["lr"] = lr
        momentum = momentum_at(net.step_, plan.n_steps, plan.momentum)
        net.notify("on_batch_begin", batch=views, training=True)
        self.lr.fill_(lr)
        self.momentum.fill_(momentum)
        figures = self.learn(*views, self.lr, self.momentum)
        figures = {
            name: value.clone() if value.ndim == 0 else value
            for name, value in figures.items()
        }
        net.step_, net.momentum_ = net.step_ + 1, momentum
        training.figures.add(figures, len(views[0]), net.step_, training.processes)
        net.notify("on_batch_end", batch=views, training=True, **figures)


@contextmanager
def recording():
    """Let trainings that begin in here record their steps; one at a time."""
    usual = _run.train_step
    _run.train_step = RecordedStep()
    try:
        yield
    finally:
        _run.train_step = usual
