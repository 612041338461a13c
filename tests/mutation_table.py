"""Places of the mathematics and views, what each is broken to, and what notices."""

OBJECTIVE, GEOMETRY, COLOUR = "objective.py", "views/_geometry.py", "views/_colour.py"
FILTERS, DRAWING = "views/_filters.py", "views/_draw.py"

LAWS = "test_views_laws test_views_drawing"
PARTS = "test_views_equivalence"

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
        "device=images.device) - (n - 1) / 2",
        "device=images.device) - n / 2",
        PARTS,
    ),
    (GEOMETRY, "align_corners=False", "align_corners=True", PARTS),
    (GEOMETRY, ".nan_to_num_(FAR)", "", PARTS),
    (GEOMETRY, "corners * (1 - uniform", "corners * (1 + uniform", LAWS),
    (GEOMETRY, "_cross(edge_1, twist) / area", "_cross(twist, edge_1) / area", PARTS),
    (GEOMETRY, 'padding_mode="zeros"', 'padding_mode="border"', PARTS),
    # Colours and filters
    (COLOUR, "1 - strength), 1 + strength", "1 - strength), 1 + 2 * strength", LAWS),
    (
        COLOUR,
        "generator) < strengths.jitter_probability",
        "generator) > strengths.jitter_probability",
        LAWS,
    ),
    (COLOUR, "(operation == 1)", "(operation == 0)", PARTS),
    (COLOUR, "LUMA = (0.2989, 0.587, 0.114)", "LUMA = (0.114, 0.587, 0.2989)", PARTS),
    (COLOUR, "offsets + draws.is_inverted.float()[:, None]", "offsets", PARTS),
    (COLOUR, "matrices = step @ matrices", "matrices = matrices @ step", PARTS),
    (
        COLOUR,
        "((0.0, -1, 1), (1, 0, -1), (-1, 1, 0))",
        "((0.0, 1, -1), (-1, 0, 1), (1, -1, 0))",
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
    (DRAWING, "reduce(torch.matmul, parts)", "reduce(torch.matmul, parts[::-1])", LAWS),
    (
        DRAWING,
        "strengths.solarize[view]",
        "strengths.solarize[0]",
        "test_views test_views_laws",
    ),
    ("views/_presets.py", "blur=(1.0, 0.1)", "blur=(0.1, 1.0)", "test_views"),
]
