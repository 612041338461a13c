"""Places of the lower layers, what each is broken to, and the tests that notice."""

OBJECTIVE, GEOMETRY, COLOUR = "objective.py", "views/_geometry.py", "views/_colour.py"
FILTERS, DRAWING = "views/_filters.py", "views/_drawing.py"
BYOL, WEIGHTS = "networks/_byol.py", "networks/_weights.py"
SCHEDULE, SCHEDULES = "training/_schedule.py", "training/_schedules.py"
OPTIMIZERS, BATCHES = "training/_optimizers.py", "training/_batches.py"
FILES, SAVING = "training/_checkpoint_files.py", "_persistence.py"
CHECKS = "training/_checkpoints.py"

LAWS = "test_views_laws test_views_drawing"
PARTS = "test_views_equivalence"
STEP = "test_training -k two_steps"

MUTATIONS = [
    # The mathematics
    (OBJECTIVE, "z.detach().float()", "z.float()", "test_objective"),
    (OBJECTIVE, "(2 - 2 * (q", "(1 - 2 * (q", "test_objective"),
    (
        OBJECTIVE,
        "F.normalize(q.float(), dim=1",
        "F.normalize(q.float(), dim=0",
        "test_objective",
    ),
    (
        OBJECTIVE,
        "regression_loss(q_1, z_2) +",
        "regression_loss(q_1, z_1) +",
        "test_objective",
    ),
    (OBJECTIVE, " + regression_loss(q_2, z_1)", "", "test_objective"),
    (
        OBJECTIVE,
        "math.cos(math.pi * step / n_steps)",
        "math.cos(step / n_steps)",
        "test_objective",
    ),
    (OBJECTIVE, "return 1 - (1 - base) *", "return 1 - base *", "test_objective"),
    (OBJECTIVE, "20 / n_steps, 0.01", "2 / n_steps, 0.01", "test_recipe"),
    (
        OBJECTIVE,
        "base * (step + 1) / n_warmup",
        "base * step / n_warmup",
        "test_objective",
    ),
    (OBJECTIVE, "if step < n_warmup", "if step <= n_warmup", "test_objective"),
    (OBJECTIVE, "/ (n_steps - n_warmup))", "/ n_steps)", "test_objective"),
    (
        OBJECTIVE,
        "get_ema_multi_avg_fn(tau)",
        "get_ema_multi_avg_fn(1 - tau)",
        "test_objective",
    ),
    (OBJECTIVE, "correction=0", "correction=1", "test_objective"),
    (OBJECTIVE, "* math.sqrt(z.shape[1])", "* z.shape[1]", "test_objective"),
    (OBJECTIVE, " + 1e-7", "", "test_objective"),
    (OBJECTIVE, "values / values.sum()", "values / values.max()", "test_objective"),
    # The geometry of views
    (
        GEOMETRY,
        "areas.sqrt() * half_ratios, areas.sqrt() / half_ratios",
        "areas.sqrt() / half_ratios, areas.sqrt() * half_ratios",
        LAWS,
    ),
    (GEOMETRY, "torch.exp(log_ratios / 2)", "torch.exp(log_ratios)", LAWS),
    (GEOMETRY, "uniform((n, 2), -0.5, 0.5", "uniform((n, 2), 0.0, 0.5", LAWS),
    (
        GEOMETRY,
        "_affine(cos, -sin, 0, sin, cos, 0)",
        "_affine(cos, sin, 0, -sin, cos, 0)",
        PARTS,
    ),
    (
        GEOMETRY,
        "1 - 2 * horizontal.float(), 0, 0, 0, 1 - 2 * vertical",
        "1 - 2 * vertical.float(), 0, 0, 0, 1 - 2 * horizontal",
        PARTS,
    ),
    (
        GEOMETRY,
        "device=images.device) - (width - 1) / 2",
        "device=images.device) - width / 2",
        PARTS,
    ),
    (GEOMETRY, "align_corners=False", "align_corners=True", PARTS),
    (GEOMETRY, ".nan_to_num_(FAR)", "", PARTS),
    (GEOMETRY, "* (1 - inwards)", "* (1 + inwards)", LAWS),
    (GEOMETRY, "_cross(edge_1, twist) / area", "_cross(twist, edge_1) / area", PARTS),
    (GEOMETRY, 'padding_mode="zeros"', 'padding_mode="border"', PARTS),
    # Colours and filters
    (COLOUR, "1 - strength), 1 + strength", "1 - strength), 1 + 2 * strength", LAWS),
    (
        COLOUR,
        "generator) < jitter_probability",
        "generator) > jitter_probability",
        LAWS,
    ),
    (COLOUR, "(operation == 1)", "(operation == 0)", PARTS),
    (COLOUR, "LUMA = (0.2989, 0.587, 0.114)", "LUMA = (0.114, 0.587, 0.2989)", PARTS),
    (COLOUR, "offsets + draws.is_inverted.float()[:, None]", "offsets", PARTS),
    (COLOUR, "matrices = step @ matrices", "matrices = matrices @ step", PARTS),
    (
        COLOUR,
        "[[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]",
        "[[0.0, 1, -1], [-1, 0, 1], [1, -1, 0]]",
        PARTS,
    ),
    (FILTERS, "images >= threshold", "images > threshold", LAWS),
    (FILTERS, "sigmas[:, None]) ** 2) / 2)", "sigmas[:, None]) ** 2))", LAWS),
    (FILTERS, "round(side / 20)", "round(side / 10)", LAWS + " " + PARTS),
    (
        DRAWING,
        "strengths.blur[view]",
        "strengths.blur[0]",
        "test_views test_views_laws",
    ),
    (
        DRAWING,
        "homographies = homographies @ part",
        "homographies = part @ homographies",
        LAWS,
    ),
    (
        DRAWING,
        "strengths.solarize[view]",
        "strengths.solarize[0]",
        "test_views test_views_laws",
    ),
    ("views/_presets.py", "blur=(1.0, 0.1)", "blur=(0.1, 1.0)", "test_views"),
    # Networks
    (BYOL, ".requires_grad_(False)", "", "test_networks -k target"),
    (
        BYOL,
        "self.target(view_1), self.target(view_2)",
        "self.target(view_2), self.target(view_1)",
        STEP,
    ),
    (
        BYOL,
        "            self.predictor(projection_1),",
        "            projection_1,",
        STEP,
    ),
    (
        BYOL,
        "[*self.encoder.parameters(), *self.projector.parameters()]",
        "[*self.projector.parameters(), *self.encoder.parameters()]",
        STEP,
    ),
    (
        "networks/_heads.py",
        "n_outputs, bias=False",
        "n_outputs, bias=True",
        "test_networks -k head_is",
    ),
    (
        "networks/_heads.py",
        "nn.BatchNorm1d(n_hidden)",
        "nn.Identity()",
        "test_networks -k head_is",
    ),
    (
        "networks/_normalize.py",
        "s if s > 1e-3 else 1.0",
        "s",
        "test_networks -k constant_channel",
    ),
    (
        "networks/_normalize.py",
        ".div_(self.std)",
        ".mul_(self.std)",
        "test_networks -k normalize",
    ),
    (
        "networks/_readout.py",
        "< self.n_cells > 1",
        "<= self.n_cells > 1",
        "test_networks -k grid",
    ),
    ("networks/_auto.py", "residual + self.shortcut(x)", "residual", "test_networks"),
    ("networks/_stem.py", "if side <= 32", "if side < 32", "test_networks -k side"),
    (WEIGHTS, "repeated * (3 / n_inputs)", "repeated", "test_weights -k channels"),
    (WEIGHTS, "weights_only=True", "weights_only=False", "test_weights -k unpickled"),
    (WEIGHTS, "    _refuse_packed(path)\n", "", "test_table_files -k archive_bomb"),
    (
        WEIGHTS,
        "len(match.misshapen) > n_taken",
        "False",
        "test_table_files -k larger_network",
    ),
    # Training
    (SCHEDULE, "n_steps - 1))", "n_steps))", "test_recipe test_training"),
    (SCHEDULE, "math.sqrt(scale) if", "scale if", "test_recipe"),
    (
        SCHEDULE,
        "if is_pretrained else 1",
        "if not is_pretrained else 1",
        "test_weights -k is_a_start",
    ),
    (SCHEDULE, "min(10.0, max_epochs / 10)", "max_epochs / 10", "test_recipe"),
    (SCHEDULES, "momentum_at(net.step_,", "momentum_at(net.step_ + 1,", STEP),
    (
        SCHEDULES,
        "        update_target(self.xi_, self.theta_, net.momentum_)\n",
        "",
        STEP,
    ),
    (
        SCHEDULES,
        "net.optimizer_.param_groups:",
        "net.optimizer_.param_groups[:1]:",
        STEP,
    ),
    (SCHEDULES, "learning_rate_at(net.step_,", "learning_rate_at(net.step_ + 1,", STEP),
    (OPTIMIZERS, "if weight.ndim > 1:", "if weight.ndim > 0:", "test_recipe -k lars"),
    (
        OPTIMIZERS,
        "lengths[0] / lengths[1]",
        "lengths[1] / lengths[0]",
        "test_recipe -k lars",
    ),
    (OPTIMIZERS, '.mul_(group["momentum"])', "", "test_recipe -k lars"),
    (
        OPTIMIZERS,
        '"weight_decay": 0.0}',
        '"weight_decay": weight_decay}',
        "test_training -k decay",
    ),
    (OPTIMIZERS, '{"momentum": 0.9}', '{"momentum": 0.0}', "test_recipe"),
    (OPTIMIZERS, "if p.requires_grad]", "]", "test_training -k frozen"),
    (BATCHES, "n_images // 2)", "n_images)", "test_training -k batches"),
    (BATCHES, "        self._n_drawn = 0\n\n", "\n", "test_checkpoints -k last_two"),
    (
        BATCHES,
        ".permutation(len(self.images))",
        ".permutation(len(self.images) - 1)",
        "test_training -k batches",
    ),
    # Checkpoints
    (
        FILES,
        "hashlib.sha256(payload).digest() != digest",
        "False",
        "test_checkpoint_files -k damaged",
    ),
    (
        FILES,
        "weights_only=True",
        "weights_only=False",
        "test_checkpoint_files -k unpickled",
    ),
    ("_writing.py", "0o666", "0o600", "test_table_checkpoints -k permissions"),
    (FILES, "N_KEPT = 2", "N_KEPT = 3", "test_checkpoints -k last_two"),
    (FILES, "reverse=True", "reverse=False", "test_checkpoints -k last_two"),
    (
        FILES,
        "stat.S_ISREG(path.lstat().st_mode)",
        "True",
        "test_table_checkpoints -k passed_over",
    ),
    (FILES, "if os.path.islink(folder)", "if False", "test_table_checkpoints -k link"),
    (
        FILES,
        "time.time() - OLD",
        "time.time() - 10 * OLD - 1e10",
        "test_checkpoint_files -k half_written",
    ),
    (
        FILES,
        "hashlib.sha256(payload).digest(), payload",
        "payload",
        "test_checkpoints -k found_finished",
    ),
    (
        CHECKS,
        "if self.about.get(name) != about.get(name)",
        "if False",
        "test_checkpoints -k other_p",
    ),
    (
        CHECKS,
        "            check_finite(training.encoder)\n",
        "",
        "test_table_checkpoints -k nan",
    ),
    # Saved estimators
    (SAVING, "return encoder.eval()", "return encoder", "test_saving"),
    (
        SAVING,
        "array.ctypes.data == tensor.data_ptr()",
        "True",
        "test_saving -k changed_after_fit",
    ),
    (
        SAVING,
        "torch.from_numpy(np.array(a))",
        "torch.from_numpy(a)",
        "test_saving -k memory_map",
    ),
    (
        SAVING,
        'state.pop("encoder_")',
        'state["encoder_"]',
        "test_saving -k as_large",
    ),
    (
        SAVING,
        'state["_arrays"] = self._arrays',
        'state["_arrays"] = dict(list(self._arrays.items())[1:])',
        "test_saving -k memory_map",
    ),
]
